"""The protocol over HTTP: paths, JSON, and tensors behind the JSON as raw bytes.

Sources: `specification/protocol/inference_rest.md` in kserve/open-inference-protocol, and "Binary
Tensor Data Extension" in KServe's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy.typing as npt
import orjson

from tuner.serving.server.codec import parse, written
from tuner.serving.server.http_api import HttpApplication, Request, Response
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.run import Tensors
from tuner.serving.server.status import Code, StatusError, invalid
from tuner.serving.server.tensors import shown

from .inference import PLATFORM, Inference
from .session import ServedModel
from .tensors import of_json, of_raw, to_json, to_raw

METRICS_PATH = "/metrics"
HEADER_LENGTH = b"inference-header-content-length"
"""The header that says how many bytes of a body are JSON; tensors follow them."""

SERVER = "tune-onnxruntime"
EXTENSIONS = ("binary_tensor_data",)

_OCTETS = b"application/octet-stream"
_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<verb>/\w+)?")


@dataclass(frozen=True)
class InferRequest:
    """What a body asks for. `raw` says for an output whether it is wanted as raw bytes."""

    id: str | None
    inputs: Mapping[str, npt.NDArray[Any]]
    outputs: tuple[str, ...]
    raw: Mapping[str, bool]
    raw_by_default: bool


class Application(HttpApplication):
    """The REST API of `inference`, and its metrics."""

    def __init__(
        self, inference: Inference, metrics: Metrics, workers: Executor, largest: int, version: str
    ) -> None:
        super().__init__(workers, largest, {METRICS_PATH: metrics.page})
        self._inference = inference
        self._version = version

    def answer(self, request: Request) -> Response:
        method, path = request.method, request.path
        if method == "GET" and path == "/v2":
            about = {"name": SERVER, "version": self._version, "extensions": EXTENSIONS}
            return Response(orjson.dumps(about))
        if method == "GET" and path in {"/v2/health/live", "/v2/health/ready"}:
            return Response(orjson.dumps({path.rpartition("/")[2]: True}))
        match = _PATH.fullmatch(path)
        wanted = ("POST", "/infer") if method == "POST" else ("GET", "/ready")
        if match is None or (method, match["verb"]) not in {wanted, ("GET", None)}:
            raise StatusError(Code.NOT_FOUND, f"Not found: {method} {path}")
        name, version = unquote(match["model"]), unquote(match["version"] or "")
        if method == "POST":
            return self._infer(name, version, request)
        model = self._inference.find(name, version)
        if match["verb"]:
            return Response(orjson.dumps({"name": name, "ready": True}))
        return Response(orjson.dumps(described(model)))

    def _infer(self, name: str, version: str, request: Request) -> Response:
        with self._inference.counted(name, "REST"):
            model = self._inference.find(name, version)
            body = request.body()
            length = _header_length(request, len(body))
            asked = self._decoded(model, parse(body[:length]), body[length:])
            outputs = self._inference.infer(model, asked.inputs, asked.outputs)
            return encoded(model, asked, outputs)

    def _decoded(
        self, model: ServedModel, document: Mapping[str, Any], rest: bytes
    ) -> InferRequest:
        identity = document.get("id")
        if identity is not None and not isinstance(identity, str):
            raise invalid(f"id {shown(identity)} is not a string")
        inputs: dict[str, npt.NDArray[Any]] = {}
        for one in _objects(document, "inputs", required=True):
            name = _name(one)
            if name in inputs:
                raise invalid(f"input {name!r} is there twice")
            if (size := _parameter(one, "binary_data_size", int)) is not None:
                raw, rest = rest[:size], rest[size:]
                tensor = of_raw(name, one.get("datatype", ""), one.get("shape"), raw)
            elif "data" not in one:
                raise invalid(f"input {name!r} has no data")
            else:
                tensor = of_json(name, one.get("datatype", ""), one.get("shape"), one["data"])
            self._inference.check_datatype(model, name, one["datatype"])
            inputs[name] = tensor
        if rest:
            raise invalid(f"{len(rest)} bytes behind the JSON belong to no input")
        outputs = {
            _name(one): _parameter(one, "binary_data", bool)
            for one in _objects(document, "outputs", required=False)
        }
        return InferRequest(
            identity,
            inputs,
            tuple(outputs),
            {name: raw for name, raw in outputs.items() if raw is not None},
            bool(_parameter(document, "binary_data_output", bool)),
        )


def described(model: ServedModel) -> dict[str, Any]:
    """What the protocol calls a model's metadata."""
    return {
        "name": model.name,
        "versions": [str(model.version)],
        "platform": PLATFORM,
        **{
            key: [
                {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
                for spec in specs.values()
            ]
            for key, specs in (("inputs", model.inputs), ("outputs", model.outputs))
        },
    }


def encoded(model: ServedModel, asked: InferRequest, outputs: Tensors) -> Response:
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, array in outputs.items():
        one: dict[str, Any] = {
            "name": name,
            "shape": list(array.shape),
            "datatype": model.outputs[name].datatype,
        }
        if asked.raw.get(name, asked.raw_by_default):
            behind.append(to_raw(array))
            one["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            one["data"] = to_json(array)
        described.append(one)
    document = {
        "model_name": model.name,
        "model_version": str(model.version),
        **({} if asked.id is None else {"id": asked.id}),
        "outputs": described,
    }
    body = written(document, outputs.values())
    if not behind:
        return Response(body)
    headers = ((HEADER_LENGTH, str(len(body)).encode()),)
    return Response(b"".join([body, *behind]), _OCTETS, headers)


def _header_length(request: Request, size: int) -> int:
    """How many bytes of the body are JSON: all without the header."""
    text = next((value for name, value in request.headers if name == HEADER_LENGTH), None)
    if text is None:
        return size
    if not text.isdigit() or len(text) > 20 or int(text) > size:
        raise invalid(f"Inference-Header-Content-Length is {text!r}, but the body has {size} bytes")
    return int(text)


def _objects(document: Mapping[str, Any], key: str, *, required: bool) -> list[dict[str, Any]]:
    found = document.get(key, None if required else [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise invalid(f"{key!r} must be a list of objects; it is {shown(found)}")
    return found


def _name(one: Mapping[str, Any]) -> str:
    name = one.get("name")
    if not isinstance(name, str):
        raise invalid(f"a tensor has no name: {shown(dict(one))}")
    return name


def _parameter(one: Mapping[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401 of `kind`
    """The parameter of a tensor or request, None where it is not there; a whole number from 0."""
    parameters = one.get("parameters", {})
    if not isinstance(parameters, dict):
        raise invalid(f"parameters must be an object; they are {shown(parameters)}")
    value = parameters.get(name)
    negative = isinstance(value, int) and value < 0
    if value is not None and (type(value) is not kind or negative):
        raise invalid(f"parameter {name} is {shown(value)}")
    return value
