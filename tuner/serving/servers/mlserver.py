"""MLServer with its scikit-learn runtime, in an image that tune builds from its wheels.

Its container unpickles the model: a file from somebody else can run code there. The container has
no capabilities, no network but the load's, a read-only file system and limits. Nothing of tune
itself unpickles.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuner.errors import InputError
from tuner.serving import mlserver
from tuner.serving.container_plan import BASH_CHECK, NOBODY, ContainerPlan
from tuner.serving.image import ImageRecipe
from tuner.serving.server.signatures import Signature
from tuner.serving.servers.open_inference import ready, requests_of
from tuner.serving.servers.server import Server, refuse_taken
from tuner.serving.version_files import served_version
from tuner.spec.study import ModelSpec, ServingSpec

FILE = "model.joblib"
PORT = 8080
GRPC_PORT = 8081

_IMPLEMENTATION = "mlserver_sklearn.SKLearnModel"
_TAKEN_VARIABLES = (
    "MLSERVER_HTTP_PORT",
    "MLSERVER_GRPC_PORT",
    "MLSERVER_MODEL_NAME",
    "MLSERVER_MODEL_IMPLEMENTATION",
    "MLSERVER_MODEL_URI",
)

_DOCKERFILE = f"""\
FROM {{base}}
COPY wheels /opt/mlserver
# Without settings in its directory, MLServer takes those of its environment.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/mlserver && mkdir /opt/none
ENV PYTHONPATH=/opt/mlserver \\
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 65534:65534
EXPOSE {PORT} {GRPC_PORT}
ENTRYPOINT ["python3", "-c", "from mlserver.cli import main; main()", "start", "/opt/none"]
"""

IMAGE = ImageRecipe(
    "mlserver",
    "tune-mlserver",
    _DOCKERFILE,
    Path(mlserver.__file__).with_name("requirements.txt"),
)


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    refuse_taken("variable", serving.env, _TAKEN_VARIABLES)
    mount = f"/models/{model.name}"
    version = model.version or served_version(model, FILE).name
    return ContainerPlan(
        image=image,
        entrypoint=None,
        command=serving.flag_words,
        environment={
            "MLSERVER_DEBUG": "false",  # or it logs a line for each request
            **serving.env,
            "MLSERVER_HTTP_PORT": str(PORT),
            "MLSERVER_GRPC_PORT": str(GRPC_PORT),
            "MLSERVER_MODEL_NAME": model.name,
            "MLSERVER_MODEL_IMPLEMENTATION": _IMPLEMENTATION,
            "MLSERVER_MODEL_URI": f"{mount}/{version}/{FILE}",
        },
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=mount,
        user=NOBODY,
        ready=ready(model),
        health=BASH_CHECK,
        # Semaphores of its workers, and files of its metrics.
        tmpfs={
            "/dev/shm": "rw,noexec,nosuid,size=16m",  # noqa: S108 in the container
            "/tmp": "rw,noexec,nosuid,size=16m",  # noqa: S108 in the container
        },
    )


def _reading_from(plan: ContainerPlan, directory: str) -> ContainerPlan:
    uri = plan.environment["MLSERVER_MODEL_URI"]
    version = uri.rsplit("/", 2)[1]
    return replace(
        plan,
        environment={**plan.environment, "MLSERVER_MODEL_URI": f"{directory}/{version}/{FILE}"},
    )


def _no_signature(model: ModelSpec) -> Signature:
    raise InputError(
        f"golden requests of model {model.name} are not bodies of the Open Inference Protocol",
        'such as {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}',
    )


MLSERVER = Server(
    title="MLServer",
    plan=_plan,
    requests=requests_of(_no_signature),
    image=IMAGE,
    model_file=FILE,
    search_space="mlserver",
    reading_from=_reading_from,
)
