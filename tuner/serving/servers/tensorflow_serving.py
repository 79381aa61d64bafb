"""TensorFlow Serving: tune's own image, which takes its command line, and the official one."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from tuner.errors import InputError
from tuner.measure.golden import Golden
from tuner.serving.container_plan import BASH_CHECK, NOBODY, ContainerPlan, Ready
from tuner.serving.image import TENSORFLOW
from tuner.serving.predict_message import decode_response, encode_request
from tuner.serving.saved_model import FILE, read_signatures
from tuner.serving.server import codec
from tuner.serving.server.status import StatusError
from tuner.serving.servers.call import Call
from tuner.serving.servers.server import Requests, Server, json_judge, refuse_taken
from tuner.serving.version_files import served_version
from tuner.spec.study import ModelSpec, ServingSpec

PORT = 8501
"""Port of TensorFlow Serving's REST API."""

GRPC_PORT = 8500
"""Port of its gRPC services."""

METRICS_PATH = "/monitoring/prometheus/metrics"
"""Where TensorFlow Serving answers Prometheus, unless its monitoring file names another path."""

PREDICT = "/tensorflow.serving.PredictionService/Predict"

_TAKEN_FLAGS = ("model_name", "model_base_path", "port", "rest_api_port")
_MONITORING = "monitoring_config_file"
_TAKEN_VARIABLES = ("MODEL_NAME", "MODEL_BASE_PATH")


def _plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    """Both images start TensorFlow Serving's command line with `MODEL_NAME`, add what follows, and
    read the model at `/models/<name>`.
    """
    refuse_taken("flag", serving.flags, _TAKEN_FLAGS)
    refuse_taken("variable", serving.env, _TAKEN_VARIABLES)
    ours = serving.image == "tune"
    ready = Ready(_path(model), "AVAILABLE")
    return ContainerPlan(
        image=image,
        entrypoint=None,
        command=serving.flag_words,
        environment={**serving.env, "MODEL_NAME": model.name},
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=f"/models/{model.name}",
        user=NOBODY,
        ready=ready,
        health=BASH_CHECK,
        # Ours has metrics without a monitoring file. What such a file says is not known here.
        metrics_path=METRICS_PATH if ours and _MONITORING not in serving.flags else None,
        # tune's server writes nothing. What another image writes is unknown.
        tmpfs={} if ours else {"/tmp": "rw,noexec,nosuid,size=16m"},  # noqa: S108 in the container
    )


def _path(model: ModelSpec) -> str:
    return f"/v1/models/{quote(model.name, safe='')}"


def _reading_from(plan: ContainerPlan, directory: str) -> ContainerPlan:
    return replace(plan, command=(*plan.command, f"--model_base_path={directory}"))


def _rest_requests(model: ModelSpec, golden: Golden) -> Requests:
    """The golden requests as they are: they are bodies of the REST API."""
    path = f"{_path(model)}:predict"
    calls = tuple(Call(path, body) for body in golden.bodies)
    return Requests(calls, json_judge(golden, model.tolerance))


def _grpc_requests(model: ModelSpec, golden: Golden) -> Requests:
    """The golden requests as PredictRequests, with the tensors that a server makes of the JSON.

    An answer is judged as the JSON body that a server makes of its tensors.
    """
    signatures = read_signatures(served_version(model, FILE))
    calls, rows = [], []
    for number, body in enumerate(golden.bodies):
        try:
            request = codec.decode(codec.parse(body), signatures)
        except StatusError as error:
            raise InputError(
                f"golden request {number} of model {model.name} does not fit its signature:"
                f" {error.message}",
                f"mend {model.golden}",
            ) from error
        signature = signatures[request.signature]
        message = encode_request(model.name, request.signature, request.inputs, signature)
        calls.append(Call(PREDICT, message))
        rows.append(request.row)
    judge = json_judge(golden, model.tolerance)

    def wrong(number: int, message: bytes) -> str:
        try:
            answer = codec.encode(decode_response(message), row=rows[number])
        except (ValueError, StatusError) as error:
            return f"not a PredictResponse that can be read: {error}"
        return judge(number, answer)

    return Requests(tuple(calls), wrong)


TENSORFLOW_SERVING = Server(
    title="TensorFlow Serving",
    plan=_plan,
    requests={"rest": _rest_requests, "grpc": _grpc_requests},
    image=TENSORFLOW,
    model_file=FILE,
    search_space="tensorflow_serving_full",
    reading_from=_reading_from,
)
