"""The REST API as an ASGI application.

Source of the protocol: "RESTful API" in TensorFlow Serving's documentation, and its
`model_servers/http_rest_api_handler.cc` for what is wrong first where several things are.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import Executor
from urllib.parse import unquote

import orjson

from . import codec, examples
from .http_api import HttpApplication, Request, Response
from .inference import Inference
from .metrics import Metrics
from .run import until
from .status import Code, StatusError, invalid

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"

_MODEL = r"(?i:/v1/models)(?:/(?P<model>[^/:]+))"
_VERSION = r"(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
_ACTION = re.compile(_MODEL + _VERSION + r":(?P<verb>classify|regress|predict)", re.ASCII)
_DESCRIPTION = re.compile(_MODEL + "?" + _VERSION + r"(?P<metadata>/metadata)?", re.ASCII)
_LARGEST_VERSION = 2**63 - 1


class Application(HttpApplication):
    """The REST API of `inference`, and its metrics at `metrics_path`.

    A model that runs for more than `seconds` is stopped; None is no limit.
    """

    def __init__(
        self,
        inference: Inference,
        metrics: Metrics,
        workers: Executor,
        largest: int,
        metrics_path: str | None = PROMETHEUS_PATH,
        seconds: float | None = None,
    ) -> None:
        pages = {} if metrics_path is None else {metrics_path: metrics.page}
        super().__init__(workers, largest, pages)
        self._inference = inference
        self._seconds = seconds

    def answer(self, request: Request) -> Response:
        return Response(self._answered(request))

    def _answered(self, request: Request) -> bytes:
        method, path = request.method, request.path
        if not path.lower().startswith("/v1/"):
            raise StatusError(Code.NOT_FOUND, f"Not found: {path}")
        # What acts on a model is posted, what describes it is got.
        pattern = {"POST": _ACTION, "GET": _DESCRIPTION}.get(method)
        match = pattern.fullmatch(path) if pattern else None
        if match is None:
            raise invalid(f"Malformed request: {method} {path}")
        if match["model"] is None:
            raise invalid("Missing model name in request.")
        name, label = unquote(match["model"]), match["label"]
        target = (name, _number(match["version"]), None if label is None else unquote(label))
        if method == "GET":
            # A status is by version, never by label, as in TensorFlow Serving.
            return self._metadata(*target) if match["metadata"] else self._status(*target[:2])
        with until(None if self._seconds is None else time.monotonic() + self._seconds):
            return self._act(match["verb"], target, request)

    def _act(
        self, verb: str, target: tuple[str, int | None, str | None], request: Request
    ) -> bytes:
        """The answer to a POST."""
        inference = self._inference
        with inference.counted(target[0], verb, "REST"):
            document = codec.parse(request.body())
            name = codec.signature_name(document)
            if verb == "predict":
                model = inference.find(*target)
                decoded = codec.decode(document, model.saved_model.signatures)
                outputs = inference.predict(model, name, decoded.inputs)
                return codec.encode(outputs, row=decoded.row)
            given = examples.decode(document)
            model = inference.find(*target)
            if verb == "regress":
                return examples.encode_values(inference.regress(model, name, given))
            classes = inference.classify(model, name, given)
            return examples.encode_classes(classes.labels, classes.scores)

    def _status(self, name: str, version: int | None) -> bytes:
        return orjson.dumps(
            {
                "model_version_status": [
                    {
                        "version": str(status.version),
                        "state": status.state.name,
                        "status": {
                            "error_code": status.code.name,
                            "error_message": status.message,
                        },
                    }
                    for status in self._inference.status(name, version)
                ]
            }
        )

    def _metadata(self, name: str, version: int | None, label: str | None) -> bytes:
        model = self._inference.find(name, version, label)
        return orjson.dumps(
            {
                "model_spec": {
                    "name": model.name,
                    "signature_name": "",
                    "version": str(model.version),
                },
                "metadata": {"signature_def": {"signature_def": model.saved_model.signature_def}},
            }
        )


def _number(version: str | None) -> int | None:
    if version is None:
        return None
    if len(version.lstrip("0")) > len(str(_LARGEST_VERSION)) or int(version) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {version} to numeric.")
    return int(version)
