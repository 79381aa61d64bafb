"""OpenVINO Model Server with an ONNX file. Written from its documents, never run here.

Its flags are those of the repository openvinotoolkit/model_server, docs/parameters.md.
"""

from __future__ import annotations

from dataclasses import replace

from tuner.serving.container_plan import BASH_CHECK, NOBODY, ContainerPlan
from tuner.serving.onnx_file import FILE, onnx_signature
from tuner.serving.servers.open_inference import ready, requests_of
from tuner.serving.servers.server import Server, refuse_taken
from tuner.spec.study import ModelSpec, ServingSpec

PORT = 8000
GRPC_PORT = 9000

_TAKEN_FLAGS = ("model_name", "model_path", "port", "rest_port")


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    refuse_taken("flag", serving.flags, _TAKEN_FLAGS)
    mount = f"/models/{model.name}"
    return ContainerPlan(
        image=image,
        entrypoint=None,
        command=(
            f"--model_path={mount}",
            f"--model_name={model.name}",
            f"--port={GRPC_PORT}",
            f"--rest_port={PORT}",
            *serving.flag_words,
        ),
        environment=dict(serving.env),
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=mount,
        user=NOBODY,
        ready=ready(model),
        health=BASH_CHECK,
        tmpfs={"/tmp": "rw,noexec,nosuid,size=16m"},  # noqa: S108 in the container
    )


def _reading_from(plan: ContainerPlan, directory: str) -> ContainerPlan:
    return replace(plan, command=(f"--model_path={directory}", *plan.command[1:]))


OPENVINO = Server(
    title="OpenVINO Model Server",
    plan=_plan,
    requests=requests_of(onnx_signature),
    model_file=FILE,
    search_space="openvino",
    reading_from=_reading_from,
)
