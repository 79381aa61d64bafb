"""A model for each server, and what it answers: the subjects of the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.deploy.conftest import build_half_plus_two
from tests.serving.onnx_models import build_half_plus_two_onnx
from tuner.serving.open_inference.tensors import SCHEMA
from tuner.serving.server.messages import message_class
from tuner.serving.server.tensor_proto import tensor_of
from tuner.serving.servers.server import Server
from tuner.serving.servers.table import server_named
from tuner.spec.study import LoadProtocol, ModelSpec, ServingSpec


@dataclass(frozen=True)
class Subject:
    """A server with a model of it.

    `answers` are, in each protocol, a right and a wrong answer to the first golden request. `taken`
    is a flag and a variable that the plan decides itself, None where there is no such.
    """

    serving: ServingSpec
    model: ModelSpec
    answers: Mapping[LoadProtocol, tuple[bytes, bytes]]
    taken: tuple[str | None, str | None] = (None, None)

    @property
    def server(self) -> Server:
        return server_named(self.serving.server)


def _tensorflow_serving(directory: Path) -> Subject:
    return Subject(
        ServingSpec(server="tensorflow-serving"),
        build_half_plus_two(directory),
        {
            "rest": (b'{"predictions": [2.5]}', b'{"predictions": [2.6]}'),
            "grpc": (_response(2.5), _response(2.6)),
        },
        ("rest_api_port", "MODEL_NAME"),
    )


def _response(value: float) -> bytes:
    message = message_class("PredictResponse")()
    message.outputs["y"].CopyFrom(tensor_of(np.array([value], np.float32), "DT_FLOAT"))
    encoded: bytes = message.SerializeToString()
    return encoded


def _onnxruntime(directory: Path) -> Subject:
    model = build_half_plus_two_onnx(directory)
    return Subject(
        ServingSpec(server="onnxruntime"),
        model,
        {
            "rest": (_inferred(2.5), _inferred(2.6)),
            "grpc": (_inferred_raw(2.5), _inferred_raw(2.6)),
        },
        ("http_port", "MODEL_NAME"),
    )


def _inferred(value: float) -> bytes:
    output = {"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [value]}
    return json.dumps({"model_name": "any", "outputs": [output]}).encode()


def _inferred_raw(value: float) -> bytes:
    response = SCHEMA.message_class("inference.ModelInferResponse")()
    response.outputs.add(name="y", datatype="FP32", shape=[1, 1])
    response.raw_output_contents.append(np.array([[value]], np.float32).tobytes())
    encoded: bytes = response.SerializeToString()
    return encoded


SUBJECTS: Mapping[str, Callable[[Path], Subject]] = {
    "tensorflow-serving": _tensorflow_serving,
    "onnxruntime": _onnxruntime,
}
"""By the server's name: what makes the subject in a directory of its own."""
