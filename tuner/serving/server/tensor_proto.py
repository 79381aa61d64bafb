"""Between `tensorflow.TensorProto` messages and arrays, by TensorFlow's own rules. Pure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .messages import Proto, message_class
from .signatures import TENSOR_TYPES
from .status import invalid
from .tensors import MAX_RANK

_FIELDS = {
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    "DT_INT32": "int_val",
    "DT_UINT8": "int_val",
    "DT_INT16": "int_val",
    "DT_INT8": "int_val",
    "DT_UINT16": "int_val",
    "DT_STRING": "string_val",
    "DT_INT64": "int64_val",
    "DT_BOOL": "bool_val",
    "DT_HALF": "half_val",  # the bits of a float16
    "DT_BFLOAT16": "half_val",  # likewise
    "DT_COMPLEX64": "scomplex_val",  # real and imaginary parts in turn
    "DT_COMPLEX128": "dcomplex_val",
    "DT_UINT32": "uint32_val",
    "DT_UINT64": "uint64_val",
}


def array_of(tensor: Proto, name: str, largest: int) -> npt.NDArray[Any]:
    """The content of the `TensorProto` `tensor`, whose data type is one of TENSOR_TYPES.

    The last value stands for all that are missing, as in TensorFlow. Raises StatusError where the
    message is no tensor, is of more than `largest` bytes or has more than 64 dimensions; `name`
    says which it was.
    """
    dtype = type_name(tensor.dtype)
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if dtype not in TENSOR_TYPES or tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"tensor parsing error: {name}")
    numpy_type = np.dtype(TENSOR_TYPES[dtype])
    size = math.prod(shape)
    # Also what an empty tensor would be without its zeros must be a size that there can be.
    extent = math.prod(max(length, 1) for length in shape)
    if len(shape) > MAX_RANK or extent * numpy_type.itemsize > largest:
        raise invalid(f"tensor parsing error: {name} is too large")
    if tensor.tensor_content:
        # Strings have a form of their own there, which no client writes.
        if numpy_type.kind == "O" or len(tensor.tensor_content) != size * numpy_type.itemsize:
            raise invalid(f"tensor parsing error: {name}")
        return np.frombuffer(tensor.tensor_content, numpy_type).reshape(shape)
    values = getattr(tensor, _FIELDS[dtype])
    if _FIELDS[dtype] == "half_val":
        given = np.fromiter(values, np.int64, len(values)).astype(np.uint16).view(numpy_type)
    elif numpy_type.kind == "c":
        part = numpy_type.type(0).real.dtype
        given = np.fromiter(values, part, len(values) // 2 * 2).view(numpy_type)
    elif numpy_type.kind == "O":
        given = np.empty(len(values), np.object_)
        given[:] = values
    else:
        # By way of a wide type: what is too large for a small one wraps, as a cast in C does.
        wide = np.int64 if _FIELDS[dtype] == "int_val" else numpy_type
        given = np.fromiter(values, wide, len(values)).astype(numpy_type)
    if len(given) < size:
        nothing = np.full(1, b"", numpy_type) if numpy_type.kind == "O" else np.zeros(1, numpy_type)
        last = given[-1:] if len(given) else nothing
        given = np.concatenate([given, np.repeat(last, size - len(given))])
    return given[:size].reshape(shape)


def tensor_of(array: npt.NDArray[Any], dtype: str) -> Proto:
    """A `TensorProto` with the elements of `array` in the field for `dtype` (`DT_FLOAT`, ...)."""
    tensor = message_class("tensorflow.TensorProto")()
    fill(tensor, array, dtype)
    return tensor


def fill(tensor: Proto, array: npt.NDArray[Any], dtype: str) -> None:
    """Set the fields of the empty `TensorProto` `tensor`."""
    tensor.dtype = type_number(dtype)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    if _FIELDS[dtype] == "half_val":
        flat = flat.view(np.uint16)
    elif flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    getattr(tensor, _FIELDS[dtype]).extend(flat.tolist())


def type_name(number: int) -> str:
    """TensorFlow's name of a data type; the number itself where it has none here."""
    found = _data_type().values_by_number.get(number)
    return str(number) if found is None else str(found.name)


def type_number(name: str) -> int:
    return int(_data_type().values_by_name[name].number)


def _data_type() -> Any:  # noqa: ANN401 a descriptor
    return message_class("tensorflow.TensorProto").DESCRIPTOR.fields_by_name["dtype"].enum_type
