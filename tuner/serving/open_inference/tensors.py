"""Between tensors of the Open Inference Protocol and arrays: as JSON, raw bytes, messages. Pure.

Sources: `specification/protocol/inference_rest.md` and `open_inference_grpc.proto` in
kserve/open-inference-protocol; for raw bytes behind JSON, "Binary Tensor Data Extension" of KServe
(its documentation).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.serving.server.messages import Proto, Schema
from tuner.serving.server.status import invalid
from tuner.serving.server.tensors import MAX_RANK, shown, tensor_of

SCHEMA = Schema((Path(__file__).with_name("open_inference.proto"),))


@dataclass(frozen=True)
class _Datatype:
    """Its elements in NumPy, TensorFlow's name for it, and the field of its typed contents."""

    numpy: npt.DTypeLike
    tensorflow: str
    contents: str | None


_DATATYPES: Mapping[str, _Datatype] = {
    "BOOL": _Datatype(np.bool_, "DT_BOOL", "bool_contents"),
    "UINT8": _Datatype(np.uint8, "DT_UINT8", "uint_contents"),
    "UINT16": _Datatype(np.uint16, "DT_UINT16", "uint_contents"),
    "UINT32": _Datatype(np.uint32, "DT_UINT32", "uint_contents"),
    "UINT64": _Datatype(np.uint64, "DT_UINT64", "uint64_contents"),
    "INT8": _Datatype(np.int8, "DT_INT8", "int_contents"),
    "INT16": _Datatype(np.int16, "DT_INT16", "int_contents"),
    "INT32": _Datatype(np.int32, "DT_INT32", "int_contents"),
    "INT64": _Datatype(np.int64, "DT_INT64", "int64_contents"),
    "FP16": _Datatype(np.float16, "DT_HALF", None),
    "FP32": _Datatype(np.float32, "DT_FLOAT", "fp32_contents"),
    "FP64": _Datatype(np.float64, "DT_DOUBLE", "fp64_contents"),
    "BYTES": _Datatype(np.object_, "DT_STRING", "bytes_contents"),  # elements are bytes
}
DATATYPES = frozenset(_DATATYPES)
OF_TENSORFLOW: Mapping[str, str] = {kind.tensorflow: name for name, kind in _DATATYPES.items()}
"""The datatype that has the elements of TensorFlow's (`DT_FLOAT`)."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model; -1 in `shape` is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def of_json(name: str, datatype: str, shape: object, data: object) -> npt.NDArray[Any]:
    """The tensor that `data`, flat or nested, are the elements of. Raises StatusError."""
    kind, sizes = _kind(name, datatype), checked_shape(name, shape)
    array = tensor_of(data, kind.tensorflow)
    if array.shape != sizes and not (array.ndim == 1 and array.size == math.prod(sizes)):
        raise invalid(
            f"input {name!r} has data of shape {list(array.shape)}, not of its shape {list(sizes)}"
        )
    return array.reshape(sizes)


def of_raw(name: str, datatype: str, shape: object, raw: bytes) -> npt.NDArray[Any]:
    """The tensor with the elements `raw`, one behind the other. Raises StatusError."""
    kind, sizes = _kind(name, datatype), checked_shape(name, shape)
    count = math.prod(sizes)
    if datatype == "BYTES":
        elements = np.empty(count, np.object_)
        elements[:] = _split(name, raw, count)
        return elements.reshape(sizes)
    little = np.dtype(kind.numpy).newbyteorder("<")
    if len(raw) != count * little.itemsize:
        raise invalid(
            f"input {name!r} has {len(raw)} bytes; {datatype} of shape {list(sizes)} has "
            f"{count * little.itemsize}"
        )
    return np.frombuffer(raw, little).reshape(sizes)


def of_message(tensor: Proto, largest: int) -> npt.NDArray[Any]:
    """The tensor of an `InferInputTensor` or `InferOutputTensor` that has typed contents.

    Raises StatusError where it is none, or of more than `largest` bytes.
    """
    kind = _kind(tensor.name, tensor.datatype)
    sizes = checked_shape(tensor.name, list(tensor.shape))
    if kind.contents is None:
        raise invalid(f"{tensor.datatype} of input {tensor.name!r} is sent raw only")
    values = getattr(tensor.contents, kind.contents)
    count = math.prod(sizes)
    if len(values) != count:
        raise invalid(
            f"input {tensor.name!r} has {len(values)} elements in {kind.contents}; its shape "
            f"{list(sizes)} has {count}"
        )
    if count * np.dtype(kind.numpy).itemsize > largest:
        raise invalid(f"input {tensor.name!r} is too large")
    array = np.empty(count, kind.numpy)
    array[:] = values
    # A field may be wider than the type of its elements.
    if (
        kind.contents in {"int_contents", "uint_contents"}
        and (array != np.fromiter(values, np.int64, count)).any()
    ):
        raise invalid(f"input {tensor.name!r} has a number that {tensor.datatype} does not hold")
    return array.reshape(sizes)


def to_raw(array: npt.NDArray[Any]) -> bytes:
    if array.dtype.kind == "O":
        return b"".join(struct.pack("<I", len(one)) + one for one in array.reshape(-1).tolist())
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_json(array: npt.NDArray[Any]) -> Any:  # noqa: ANN401 an array that orjson writes, or a list
    """The elements of `array`, flat. Bytes become text, and what is no text U+FFFD."""
    flat = np.ascontiguousarray(array.reshape(-1))
    if flat.dtype.kind == "O":
        return [one.decode("utf-8", "replace") for one in flat.tolist()]
    return flat if flat.size else []


def fill_contents(contents: Proto, datatype: str, array: npt.NDArray[Any]) -> None:
    """Write the elements of `array` into an `InferTensorContents`; FP16 has no field there."""
    field = _DATATYPES[datatype].contents
    assert field is not None
    getattr(contents, field).extend(array.reshape(-1).tolist())


def has_contents(datatype: str) -> bool:
    """Whether a message can hold its elements as what they are, not raw."""
    return _DATATYPES[datatype].contents is not None


def least_input(spec: TensorSpec) -> npt.NDArray[Any]:
    """Zeros (or empty strings) that fit `spec`, with 1 for every unknown size."""
    shape = tuple(1 if size < 0 else size for size in spec.shape)
    if spec.datatype == "BYTES":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, _DATATYPES[spec.datatype].numpy)


def checked_shape(name: str, shape: object) -> tuple[int, ...]:
    """`shape` where it is one of a tensor; raises StatusError otherwise."""
    if (
        not isinstance(shape, list)
        or not all(type(size) is int and 0 <= size < 2**63 for size in shape)
        or len(shape) > MAX_RANK
    ):
        raise invalid(f"input {name!r}: shape {shown(shape)} is not a list of sizes")
    return tuple(shape)


def _kind(name: str, datatype: object) -> _Datatype:
    kind = _DATATYPES.get(datatype) if isinstance(datatype, str) else None
    if kind is None:
        raise invalid(
            f"input {name!r}: datatype {shown(datatype)} is none of {', '.join(_DATATYPES)}"
        )
    return kind


def _split(name: str, raw: bytes, count: int) -> list[bytes]:
    """The elements of BYTES, each behind its length."""
    elements: list[bytes] = []
    place = 0
    while place + 4 <= len(raw) and len(elements) < count:
        (length,) = struct.unpack_from("<I", raw, place)
        elements.append(raw[place + 4 : place + 4 + length])
        place += 4 + length
    if place != len(raw) or len(elements) != count:
        raise invalid(f"input {name!r} has no {count} elements, each behind its length of 4 bytes")
    return elements
