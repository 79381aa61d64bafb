"""From JSON values to arrays, by the rules and in the words of TensorFlow Serving. Pure."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .signatures import NUMPY_TYPES
from .status import Code, StatusError, invalid

MAX_RANK = 64  # NumPy's limit
_SHOWN_CHARACTERS = 200  # of a wrong JSON value in an error

_JSON_TYPES: Mapping[type, str] = {
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
    type(None): "Null",
}


def tensor_of(value: Any, dtype: str) -> npt.NDArray[Any]:  # noqa: ANN401 any JSON value
    """`value` as an array: quickly where nothing is unusual, else by `exact_tensor_of`."""
    target = np.dtype(NUMPY_TYPES.get(dtype, np.object_))
    flat = _flat(value) if target.kind in "iuf" else None
    if not flat:
        return exact_tensor_of(value, dtype)
    leaves, shape = flat
    kinds = set(map(type, leaves))
    if target.kind == "f" and kinds <= {int, float}:
        return _rounded(leaves, target).reshape(shape)
    if kinds == {int}:
        try:
            array: npt.NDArray[Any] = np.array(leaves, np.int64)
        except OverflowError:
            return exact_tensor_of(value, dtype)
        if _holds(target, array.min(), array.max()):
            return array.astype(target, copy=False).reshape(shape)
    return exact_tensor_of(value, dtype)


def _rounded(numbers: list[float], target: np.dtype[Any]) -> npt.NDArray[Any]:
    """By way of a double, as RapidJSON does; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(target, copy=False)


def _flat(value: Any) -> tuple[list[Any], tuple[int, ...]] | None:  # noqa: ANN401 any JSON value
    """The elements of nested lists in order and the shape, or None where lengths differ.

    What is not a list or a number may be torn apart; the caller sees that by the elements' types.
    """
    if not isinstance(value, list):
        return [value], ()
    shape = [len(value)]
    while value and isinstance(value[0], list):
        try:
            lengths = set(map(len, value))
        except TypeError:
            return None
        if len(lengths) > 1:
            return None
        shape.append(lengths.pop())
        if len(shape) > MAX_RANK:
            return None
        value = list(itertools.chain.from_iterable(value))
    return (value, tuple(shape)) if value else None


def _holds(target: np.dtype[Any], low: Any, high: Any) -> bool:  # noqa: ANN401 integers
    info = np.iinfo(target)
    return info.min <= int(low) and int(high) <= info.max


def exact_tensor_of(value: Any, dtype: str) -> npt.NDArray[Any]:  # noqa: ANN401 any JSON value
    """`value` as an array by TensorFlow Serving's own rules, one element at a time."""
    leaves, shape = exact_leaves_of(value, dtype)
    target = np.dtype(NUMPY_TYPES[dtype])
    if target.kind == "f":
        return _rounded(leaves, target).reshape(shape)
    array = np.empty(math.prod(shape), target)
    array[:] = leaves
    return array.reshape(shape)


def exact_leaves_of(
    value: Any,  # noqa: ANN401 any JSON value
    dtype: str,
) -> tuple[list[Any], tuple[int, ...]]:
    """The elements of `value` in order and its shape; raises StatusError where it has none."""
    if dtype not in NUMPY_TYPES:
        raise StatusError(
            Code.UNIMPLEMENTED,
            f"Conversion of JSON Value: {shown(value)} to type: {_type_name(dtype)}",
        )
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    if len(shape) > MAX_RANK:
        raise invalid(f"a tensor of {len(shape)} dimensions is not supported")
    leaves: list[Any] = []
    _collect(value, 0, shape, dtype, leaves)
    return leaves, tuple(shape)


def _collect(
    value: Any,  # noqa: ANN401 any JSON value
    level: int,
    shape: list[int],
    dtype: str,
    leaves: list[Any],
) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {rank}"
            )
        leaves.append(_leaf(value, dtype))
    elif level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    elif len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    else:
        for element in value:
            _collect(element, level + 1, shape, dtype, leaves)


def _leaf(value: Any, dtype: str) -> Any:  # noqa: ANN401 any JSON value
    if dtype == "DT_STRING":
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict):
            return bytes_of(value)
        raise _type_error(value, dtype)
    target = np.dtype(NUMPY_TYPES[dtype])
    if target.kind == "b":
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool):
        pass
    elif target.kind == "f":
        if isinstance(value, int | float):
            return value
    elif isinstance(value, int) and _holds(target, value, value):
        return value
    raise _type_error(value, dtype)


def is_bytes(value: Any) -> bool:  # noqa: ANN401 any JSON value
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def is_named(value: Any) -> bool:  # noqa: ANN401 any JSON value
    return isinstance(value, dict) and not is_bytes(value)


def bytes_of(value: dict[str, Any]) -> bytes:
    if not is_bytes(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = value["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _type_error(value: Any, dtype: str) -> StatusError:  # noqa: ANN401 any JSON value
    return invalid(
        f"JSON Value: {shown(value)} Type: {json_type(value)} "
        f"is not of expected type: {_type_name(dtype)}"
    )


def json_type(value: Any) -> str:  # noqa: ANN401 any JSON value
    """RapidJSON's name of the type of `value`."""
    return str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]


def _type_name(dtype: str) -> str:
    return dtype.removeprefix("DT_").lower()


def shown(value: Any) -> str:  # noqa: ANN401 any JSON value
    """The beginning of `value` as JSON, for an error; of a large one no more is made."""
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > _SHOWN_CHARACTERS:
            return text[:_SHOWN_CHARACTERS] + "..."
    return text


def _parts(value: Any) -> Iterator[str]:  # noqa: ANN401 any JSON value
    # Not by `json`'s own iterator, which leaves reference cycles.
    if isinstance(value, list):
        yield "["
        for number, element in enumerate(value):
            if number:
                yield ", "
            yield from _parts(element)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for number, (key, element) in enumerate(value.items()):
            yield f"{', ' if number else ''}{_quoted(key)}: "
            yield from _parts(element)
        yield "}"
    else:
        yield _quoted(value)


def _quoted(value: Any) -> str:  # noqa: ANN401 any JSON value but list and object
    if isinstance(value, str):
        value = value[: _SHOWN_CHARACTERS + 1]
    return json.dumps(value, ensure_ascii=False)
