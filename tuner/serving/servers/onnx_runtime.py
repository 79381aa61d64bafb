"""ONNX Runtime behind the Open Inference Protocol: tune's own server of `.onnx` files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuner.serving import open_inference as server
from tuner.serving.container_plan import BASH_CHECK, NOBODY, ContainerPlan
from tuner.serving.image import ImageRecipe
from tuner.serving.onnx_file import FILE, onnx_signature
from tuner.serving.open_inference.program import PACKAGE, program
from tuner.serving.servers.open_inference import ready, requests_of
from tuner.serving.servers.server import Server, refuse_taken
from tuner.spec.study import ModelSpec, ServingSpec

PORT = 8080
GRPC_PORT = 8081
METRICS_PATH = "/metrics"

_TAKEN_FLAGS = ("model_name", "model_base_path", "http_port", "grpc_port")
_TAKEN_VARIABLES = ("MODEL_NAME", "MODEL_BASE_PATH")

_DOCKERFILE = f"""\
FROM {{base}}
COPY wheels /opt/tune
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/tune
COPY server /opt/tune
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/tune/tuner
ENV PYTHONPATH=/opt/tune \\
    PYTHONDONTWRITEBYTECODE=1 \\
    OPENBLAS_NUM_THREADS=1
USER 65534:65534
EXPOSE {PORT} {GRPC_PORT}
ENTRYPOINT ["python3", "-m", "{PACKAGE}"]
"""

IMAGE = ImageRecipe(
    "onnxruntime",
    "tune-onnxruntime",
    _DOCKERFILE,
    Path(server.__file__).with_name("requirements.txt"),
    program,
)


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    refuse_taken("flag", serving.flags, _TAKEN_FLAGS)
    refuse_taken("variable", serving.env, _TAKEN_VARIABLES)
    return ContainerPlan(
        image=image,
        entrypoint=None,
        command=serving.flag_words,
        environment={**serving.env, "MODEL_NAME": model.name},
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=f"/models/{model.name}",
        user=NOBODY,
        ready=ready(model),
        health=BASH_CHECK,
        metrics_path=METRICS_PATH,
        tmpfs={},
    )


def _reading_from(plan: ContainerPlan, directory: str) -> ContainerPlan:
    return replace(plan, command=(*plan.command, f"--model_base_path={directory}"))


ONNX_RUNTIME = Server(
    title="ONNX Runtime",
    plan=_plan,
    requests=requests_of(onnx_signature),
    image=IMAGE,
    model_file=FILE,
    search_space="onnxruntime",
    reading_from=_reading_from,
)
