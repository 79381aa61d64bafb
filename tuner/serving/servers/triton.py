"""Triton Inference Server and its ONNX Runtime backend. Written from its documents, never run here.

It makes a model's configuration itself where there is no `config.pbtxt` (in the repository
triton-inference-server/server: docs/user_guide/model_repository.md, model_configuration.md). It
reads a directory of models named after their directories, so it cannot be pointed at a directory of
one model's versions (`reading_from`).
"""

from __future__ import annotations

from tuner.serving.container_plan import BASH_CHECK, NOBODY, ContainerPlan
from tuner.serving.onnx_file import FILE, onnx_signature
from tuner.serving.servers.open_inference import ready, requests_of
from tuner.serving.servers.server import Server, refuse_taken
from tuner.spec.study import ModelSpec, ServingSpec

PORT = 8000
GRPC_PORT = 8001

_REPOSITORY = "/models"
_TAKEN_FLAGS = ("model-repository", "http-port", "grpc-port")


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    refuse_taken("flag", serving.flags, _TAKEN_FLAGS)
    return ContainerPlan(
        image=image,
        entrypoint=("tritonserver",),
        command=(
            f"--model-repository={_REPOSITORY}",
            *serving.flag_words,
        ),
        environment=dict(serving.env),
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=f"{_REPOSITORY}/{model.name}",
        user=NOBODY,
        ready=ready(model),
        health=BASH_CHECK,
        # Its metrics have a port of their own, 8002.
        tmpfs={"/tmp": "rw,noexec,nosuid,size=16m"},  # noqa: S108 in the container
    )


TRITON = Server(
    title="Triton Inference Server",
    plan=_plan,
    requests=requests_of(onnx_signature),
    model_file=FILE,
    search_space="triton",
)
