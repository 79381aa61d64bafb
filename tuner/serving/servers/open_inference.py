"""Golden requests in the Open Inference Protocol, and how its answers are judged.

A golden request is a body of the protocol's `infer`, or one of TensorFlow Serving's `:predict`,
which is translated: so one model can be compared on servers of either kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy.typing as npt
import orjson
from google.protobuf.message import DecodeError

from tuner.errors import InputError
from tuner.measure.golden import Golden
from tuner.serving.container_plan import Ready
from tuner.serving.open_inference.tensors import (
    SCHEMA,
    of_json,
    of_message,
    of_raw,
    to_json,
    to_raw,
)
from tuner.serving.server import codec
from tuner.serving.server.signatures import Signature
from tuner.serving.server.status import StatusError
from tuner.serving.servers.call import Call
from tuner.serving.servers.server import MakeRequests, Requests, json_judge
from tuner.spec.study import LoadProtocol, ModelSpec

INFER = "/inference.GRPCInferenceService/ModelInfer"
_LARGEST = 2**31 - 1  # bytes, more than a message of protobuf has

Arrays = Mapping[str, npt.NDArray[Any]]
SignatureOf = Callable[[ModelSpec], Signature]
"""What a model takes: only asked where a golden request is one of `:predict`."""


def model_path(model: ModelSpec) -> str:
    return f"/v2/models/{quote(model.name, safe='')}"


def ready(model: ModelSpec) -> Ready:
    return Ready(f"{model_path(model)}/ready")


def rest_requests(model: ModelSpec, golden: Golden, signature_of: SignatureOf) -> Requests:
    bodies = [
        orjson.dumps(body_of(inputs)) if translated else golden.bodies[number]
        for number, (inputs, translated) in enumerate(_inputs(model, golden, signature_of))
    ]
    path = f"{model_path(model)}/infer"
    return Requests(
        tuple(Call(path, body) for body in bodies),
        _judge(model, golden, lambda body: arrays_of(orjson.loads(body), "outputs")),
    )


def grpc_requests(model: ModelSpec, golden: Golden, signature_of: SignatureOf) -> Requests:
    calls = tuple(
        Call(INFER, _message(model, inputs)) for inputs, _ in _inputs(model, golden, signature_of)
    )
    return Requests(calls, _judge(model, golden, _arrays_of_message))


def requests_of(signature_of: SignatureOf) -> Mapping[LoadProtocol, MakeRequests]:
    """How requests are made in each protocol of a server that speaks this one."""
    return {
        "rest": partial(rest_requests, signature_of=signature_of),
        "grpc": partial(grpc_requests, signature_of=signature_of),
    }


def body_of(inputs: Arrays) -> dict[str, Any]:
    """The body of `infer` for these inputs."""
    return {"inputs": _described(inputs)}


def is_infer(document: object) -> bool:
    """Whether a body, or an answer, has the tensors of this protocol, not of `:predict`."""
    return isinstance(document, dict) and any(
        isinstance(document.get(key), list)
        and all(isinstance(one, dict) and "datatype" in one for one in document[key])
        for key in ("inputs", "outputs")
    )


def arrays_of(document: Mapping[str, Any], key: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors in JSON by name. Raises StatusError, KeyError or TypeError for anything else."""
    return {
        one["name"]: of_json(one["name"], one["datatype"], one["shape"], one["data"])
        for one in document[key]
    }


def in_form_of(answer: Any, expected: Any) -> Any:  # noqa: ANN401 JSON
    """A golden answer: the outputs alone; as `:predict` has them where `expected` is such a one."""
    try:
        outputs = arrays_of(answer, "outputs")
        if expected is None or is_infer(expected):
            return {"outputs": _described(outputs)}
        return orjson.loads(codec.encode(outputs, row="predictions" in expected))
    except (StatusError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"an answer of the server cannot be read: {error}", "export the model again"
        ) from error


def _inputs(
    model: ModelSpec, golden: Golden, signature_of: SignatureOf
) -> Sequence[tuple[Arrays, bool]]:
    """The inputs of each golden request, and whether it was one of `:predict`."""
    found: list[tuple[Arrays, bool]] = []
    for number, body in enumerate(golden.bodies):
        try:
            document = codec.parse(body)
            if is_infer(document):
                found.append((arrays_of(document, "inputs"), False))
            else:
                signatures = {codec.signature_name(document): signature_of(model)}
                found.append((codec.decode(document, signatures).inputs, True))
        except (StatusError, KeyError, TypeError) as error:
            raise InputError(
                f"golden request {number} of model {model.name} does not fit it: {error}",
                f"mend {model.golden}",
            ) from error
    return found


def _judge(
    model: ModelSpec, golden: Golden, decode: Callable[[bytes], Arrays]
) -> Callable[[int, bytes], str]:
    """Compares an answer in the form that the golden one has."""
    responses = [
        {"outputs": _described(arrays_of(one, "outputs"))} if is_infer(one) else one
        for one in golden.responses
    ]
    judge = json_judge(Golden(golden.bodies, tuple(responses)), model.tolerance)

    def wrong(number: int, body: bytes) -> str:
        try:
            outputs = decode(body)
            expected = responses[number]
            if expected is None or is_infer(expected):
                answer = json.dumps({"outputs": _described(outputs)}).encode()
            else:
                answer = codec.encode(outputs, row="predictions" in expected)
        except (StatusError, ValueError, KeyError, TypeError, DecodeError) as error:
            return f"not an answer of the Open Inference Protocol: {error!r}; {body[:120]!r}"
        return judge(number, answer)

    return wrong


def _described(arrays: Arrays) -> list[dict[str, Any]]:
    """Tensors as JSON, by name; without what servers add to an answer of their own."""
    described = []
    for name in sorted(arrays):
        array = arrays[name]
        data = to_json(array)
        described.append(
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": _datatype(array),
                "data": data if isinstance(data, list) else codec.decimals(data),
            }
        )
    return described


def _datatype(array: npt.NDArray[Any]) -> str:
    if array.dtype.kind == "O":
        return "BYTES"
    kind = {"b": "BOOL", "u": "UINT", "i": "INT", "f": "FP"}[array.dtype.kind]
    return kind if kind == "BOOL" else f"{kind}{8 * array.dtype.itemsize}"


def _message(model: ModelSpec, inputs: Arrays) -> bytes:
    """A ModelInferRequest whose tensors are raw, as clients send them."""
    request = SCHEMA.message_class("inference.ModelInferRequest")(model_name=model.name)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=_datatype(array), shape=array.shape)
        request.raw_input_contents.append(to_raw(array))
    encoded: bytes = request.SerializeToString(deterministic=True)
    return encoded


def _arrays_of_message(message: bytes) -> Arrays:
    response = SCHEMA.message_class("inference.ModelInferResponse").FromString(message)
    if not response.outputs:
        raise ValueError("no outputs")
    raw = response.raw_output_contents
    return {
        one.name: of_raw(one.name, one.datatype, list(one.shape), raw[number])
        if raw
        else of_message(one, _LARGEST)
        for number, one in enumerate(response.outputs)
    }
