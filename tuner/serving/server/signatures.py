"""Signatures of a SavedModel, read from its MetaGraphDef without TensorFlow's Python package.

The wheel's generated protobuf modules import only one another and `google.protobuf`. They live
under `tensorflow`, whose own `__init__` would load everything, so a bare module stands in for
that package while they are imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

NUMPY_TYPES: dict[str, npt.DTypeLike] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT32": np.int32,
    "DT_UINT8": np.uint8,
    "DT_INT16": np.int16,
    "DT_INT8": np.int8,
    "DT_STRING": np.object_,  # elements are bytes
    "DT_INT64": np.int64,
    "DT_BOOL": np.bool_,
    "DT_UINT16": np.uint16,
    "DT_HALF": np.float16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
}
"""Element types that have a counterpart in NumPy and in JSON."""

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
"""The bits of a bfloat16, which NumPy does not know."""

TENSOR_TYPES: dict[str, npt.DTypeLike] = {
    **NUMPY_TYPES,
    "DT_BFLOAT16": BFLOAT16,
    "DT_COMPLEX64": np.complex64,
    "DT_COMPLEX128": np.complex128,
}
"""Element types of the tensors that a model can be asked with, in gRPC at least."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    `tensor` is the name in the graph (`x:0`; empty where the encoding is not a dense tensor),
    `dtype` TensorFlow's name of the type (`DT_FLOAT`); -1 in `shape` is an unknown size, and
    `shape` is None where even the rank is unknown.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """What can be asked of a model by name."""

    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, bytes] = field(default_factory=dict)
    """Serialized `tensorflow.TensorProto` messages, for inputs that a gRPC request leaves out."""


@dataclass(frozen=True)
class MetaGraph:
    """`signatures` by name, the same as the JSON object that TensorFlow Serving shows, and the
    same as serialized `tensorflow.SignatureDef` messages.
    """

    signatures: Mapping[str, Signature]
    signature_def: Mapping[str, Any]
    serialized: Mapping[str, bytes]


@cache
def tensorflow_directory() -> Path:
    """Where the TensorFlow wheel (or what the image keeps of it) is installed.

    Raises ModuleNotFoundError where there is none.
    """
    if "tensorflow" in sys.modules:
        return Path(sys.modules["tensorflow"].__path__[0])
    # Looking for a top-level package does not run it.
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("TensorFlow's libraries are not installed (tensorflow-cpu)")
    return Path(spec.submodule_search_locations[0])


@contextmanager
def _bare_package() -> Iterator[None]:
    """Let `tensorflow.core...` be imported although `tensorflow` is not."""
    if "tensorflow" in sys.modules:
        yield
        return
    package = ModuleType("tensorflow")
    package.__path__ = [str(tensorflow_directory())]
    sys.modules["tensorflow"] = package
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


@cache
def protobuf_module(name: str) -> Any:  # noqa: ANN401 generated modules have no types
    """The generated module `tensorflow.core.<name>_pb2`."""
    with _bare_package():
        return importlib.import_module(f"tensorflow.core.{name}_pb2")


def read_meta_graph(content: bytes) -> MetaGraph:
    """The signatures in a serialized `tensorflow.MetaGraphDef`."""
    json_format = importlib.import_module("google.protobuf.json_format")
    message = protobuf_module("protobuf.meta_graph").MetaGraphDef.FromString(content)
    type_name = protobuf_module("framework.types").DataType.Name

    def spec(info: Any) -> TensorSpec:  # noqa: ANN401
        shape = info.tensor_shape
        sizes = None if shape.unknown_rank else tuple(int(dim.size) for dim in shape.dim)
        return TensorSpec(info.name, type_name(info.dtype), sizes)

    signatures = {
        name: Signature(
            method=definition.method_name,
            inputs={alias: spec(definition.inputs[alias]) for alias in sorted(definition.inputs)},
            outputs={
                alias: spec(definition.outputs[alias]) for alias in sorted(definition.outputs)
            },
            defaults={a: value.SerializeToString() for a, value in definition.defaults.items()},
        )
        for name, definition in sorted(message.signature_def.items())
    }
    shown = {
        name: json_format.MessageToDict(
            message.signature_def[name],
            always_print_fields_with_no_presence=True,
            preserving_proto_field_name=True,
        )
        for name in signatures
    }
    serialized = {name: message.signature_def[name].SerializeToString() for name in signatures}
    return MetaGraph(signatures, shown, serialized)
