"""Reads what an ONNX model takes and gives from its file, without ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from tuner.errors import InputError
from tuner.serving.server.messages import Schema
from tuner.serving.server.signatures import PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.version_files import served_version
from tuner.spec.study import ModelSpec

FILE = "model.onnx"
"""What a version's directory must have."""

_SCHEMA = Schema((Path(__file__).with_name("onnx.proto"),))

# `TensorProto.DataType` of ONNX, as TensorFlow calls the same elements.
_TYPES = {
    1: "DT_FLOAT",
    2: "DT_UINT8",
    3: "DT_INT8",
    4: "DT_UINT16",
    5: "DT_INT16",
    6: "DT_INT32",
    7: "DT_INT64",
    8: "DT_STRING",
    9: "DT_BOOL",
    10: "DT_HALF",
    11: "DT_DOUBLE",
    12: "DT_UINT32",
    13: "DT_UINT64",
}


@dataclass(frozen=True)
class OnnxModel:
    """`beside` are the files with weights that the model's file names, relative to it."""

    signature: Signature
    beside: tuple[Path, ...]


def read_onnx(path: Path) -> OnnxModel:
    """Raises InputError for a file that is none, or whose inputs or outputs are no tensors."""
    try:
        graph = _SCHEMA.message_class("onnx.ModelProto").FromString(path.read_bytes()).graph
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX model", "export the model again") from error
    if not graph.output:
        raise InputError(
            f"{path} is not an ONNX model: it has no graph with outputs", "export the model again"
        )
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {one.name: _spec(path, one) for one in graph.input if one.name not in weights}
    outputs = {one.name: _spec(path, one) for one in graph.output}
    return OnnxModel(Signature(PREDICT_METHOD, inputs, outputs), _beside(path, graph))


def onnx_signature(model: ModelSpec) -> Signature:
    """What the version of `model` takes that is served. Raises as `read_onnx`."""
    return read_onnx(served_version(model, FILE) / FILE).signature


def _spec(path: Path, info: Any) -> TensorSpec:  # noqa: ANN401 a ValueInfoProto
    tensor = info.type.tensor_type
    if tensor.elem_type not in _TYPES:
        raise InputError(
            f"{path}: {info.name!r} is not a tensor of a type that the Open Inference Protocol has",
            "a model of scikit-learn is converted with zipmap=False, so that it gives tensors",
        )
    shape = tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else -1 for dim in tensor.shape.dim
    )
    known = tensor.HasField("shape")
    return TensorSpec(info.name, _TYPES[tensor.elem_type], shape if known else None)


def _beside(path: Path, graph: Any) -> tuple[Path, ...]:  # noqa: ANN401 a GraphProto
    named: Mapping[str, None] = dict.fromkeys(
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    )
    files = tuple(Path(name) for name in named)
    for file in files:
        if file.is_absolute() or ".." in file.parts:
            raise InputError(
                f"{path} has weights in {file}, which is outside its directory",
                "save the model again with its weights beside it",
            )
    return files
