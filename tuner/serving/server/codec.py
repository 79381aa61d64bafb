"""Between the JSON bodies of TensorFlow Serving's REST API and arrays. Pure.

The rules and error texts follow "RESTful API" in TensorFlow Serving's documentation: `instances`
is the row form, `inputs` the column form, `{"b64": "..."}` stands for bytes, and an output whose
name ends in `_bytes` is written so.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from .json_errors import first_error
from .signatures import BFLOAT16, Signature, TensorSpec
from .status import StatusError, invalid
from .tensors import exact_leaves_of, is_named, shown, tensor_of

DEFAULT_SIGNATURE = "serving_default"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class PredictRequest:
    """A decoded `:predict` body. `row` says which form it had, and the answer has to have."""

    signature: str
    row: bool
    inputs: Mapping[str, npt.NDArray[Any]]


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; raises StatusError (INVALID_ARGUMENT) where it is none."""
    document = _parse(body.removeprefix(_BYTE_ORDER_MARK))
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name or DEFAULT_SIGNATURE


def decode(document: Mapping[str, Any], signatures: Mapping[str, Signature]) -> PredictRequest:
    """The request in `document`, its inputs in the types of the signature that it names.

    Raises StatusError: INVALID_ARGUMENT where the document does not fit the signature, or
    UNIMPLEMENTED where a column's type has no JSON form.
    """
    name = signature_name(document)
    specs = _inputs_of(name, signatures)
    if "instances" in document:
        if "inputs" in document:
            raise invalid(
                f"JSON Value: {shown(document)} Not formatted correctly expecting only "
                "one of 'inputs' or 'instances' keys to exist "
            )
        inputs = _from_rows(document["instances"], specs, document)
    elif "inputs" in document:
        inputs = _from_columns(document["inputs"], specs)
    else:
        raise invalid("Missing 'inputs' or 'instances' key")
    return PredictRequest(name, "instances" in document, inputs)


def encode(outputs: Mapping[str, npt.NDArray[Any]], *, row: bool) -> bytes:
    """The JSON body for `outputs`: `predictions` in the row form, else `outputs`.

    NaN and infinities are written as `NaN`, `Infinity` and `-Infinity`, as TensorFlow Serving does.
    Raises StatusError where the outputs do not share a batch size, which the row form needs.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    values = {name: _writable(name, array) for name, array in outputs.items()}
    only = next(iter(values.values())) if len(values) == 1 else None
    document: dict[str, Any]
    if row:
        count = _batch_size(outputs)
        document = {
            "predictions": [
                {name: value[item] for name, value in values.items()} for item in range(count)
            ]
            if only is None
            else only
        }
    else:
        document = {"outputs": values if only is None else only}
    return written(document, outputs.values())


def encode_results(results: Any, numbers: npt.NDArray[Any]) -> bytes:  # noqa: ANN401 JSON values
    """The JSON body for the `results` of classify or regress, in which `numbers` are."""
    return written({"results": results}, [numbers])


def decimals(array: npt.NDArray[Any]) -> Any:  # noqa: ANN401 nested lists
    """The elements of `array` as numbers with the shortest decimal form.

    So a float32 is not written with the digits of its float64.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize == 8:
        return array.tolist()
    return array.astype(np.str_).astype(np.float64).tolist()


def written(document: Any, numbers: Iterable[npt.NDArray[Any]]) -> bytes:  # noqa: ANN401
    """JSON of a document with the arrays `numbers` in it; those that are not finite as above."""
    if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in numbers):
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(document, default=decimals).encode()


def _parse(body: bytes) -> Any:  # noqa: ANN401 any JSON value
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        wrong = first_error(body)
        if wrong is None:
            # NaN and infinities are no JSON, but TensorFlow Serving and Python's parser take them.
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                wrong = error.msg, error.pos
        message, offset = wrong
        raise invalid(f"JSON Parse error: {message} at offset: {offset}") from error


def _inputs_of(name: str, signatures: Mapping[str, Signature]) -> Mapping[str, TensorSpec]:
    if name not in signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    specs = signatures[name].inputs
    if not specs:
        raise invalid(f"Failed to get input map for signature: {name}")
    return specs


def _from_rows(
    rows: Any,  # noqa: ANN401 any JSON value
    specs: Mapping[str, TensorSpec],
    document: Any,  # noqa: ANN401
) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = is_named(rows[0])
    for index, row in enumerate(rows):
        if is_named(row) is not named:
            raise invalid(
                f"Expecting object but got list at item {index} of input list"
                if named
                else f"Expecting value/list but got object at item {index} of input list"
            )
    if not named:
        (name,) = specs
        return {name: _stack(rows, specs[name].dtype, "")}
    for index, row in enumerate(rows):
        for key in row.keys() - specs.keys():
            raise invalid(
                f"Failed to process element: {index} key: {key} of 'instances' list. Error: "
                f"INVALID_ARGUMENT: JSON object: does not have named input: {key}"
            )
        if row.keys() != specs.keys():
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{shown(row)} keys must be equal to: {','.join(sorted(specs))}"
            )
    return {
        name: _stack([row[name] for row in rows], spec.dtype, f" key: {name}")
        for name, spec in specs.items()
    }


def _from_columns(
    columns: Any,  # noqa: ANN401 any JSON value
    specs: Mapping[str, TensorSpec],
) -> dict[str, npt.NDArray[Any]]:
    if not is_named(columns):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        (name,) = specs
        return {name: tensor_of(columns, specs[name].dtype)}
    for name in specs:
        if name not in columns:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: tensor_of(columns[name], spec.dtype) for name, spec in specs.items()}


def _stack(elements: list[Any], dtype: str, where: str) -> npt.NDArray[Any]:
    """One tensor of all elements, which must be of one shape."""
    try:
        return tensor_of(elements, dtype)
    except StatusError:
        # Say which element is wrong, as seen from inside it.
        first: tuple[int, ...] | None = None
        for index, element in enumerate(elements):
            try:
                _, shape = exact_leaves_of(element, dtype)
                first = shape if first is None else first
                if shape == first:
                    continue
                size, expected = math.prod(shape), math.prod(first)
                if size != expected:
                    raise invalid(f"Expecting tensor size: {expected} but got: {size}")
                raise invalid(f"Expecting shape {_brackets(first)} but got: {_brackets(shape)}")
            except StatusError as error:
                raise invalid(
                    f"Failed to process element: {index}{where} of 'instances' list. "
                    f"Error: {error.code.name}: {error.message}"
                ) from error
        raise


def _brackets(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _batch_size(outputs: Mapping[str, npt.NDArray[Any]]) -> int:
    count = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count not in {-1, len(array)}:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {count}"
            )
        count = len(array)
    return count


def _writable(name: str, array: npt.NDArray[Any]) -> Any:  # noqa: ANN401 array or nested lists
    """What the JSON writers take for `array`. Raises StatusError for a type without JSON form."""
    if array.dtype.kind in "cV":
        kind = "bfloat16" if array.dtype == BFLOAT16 else array.dtype.name
        raise invalid(f"Failed to write JSON value for tensor type: {kind}")
    if array.dtype.kind == "O":
        return _text(array.tolist(), as_base64=name.endswith("_bytes"))
    return array if array.ndim and array.size else array.tolist()


def _text(value: Any, *, as_base64: bool) -> Any:  # noqa: ANN401 bytes or nested lists
    if isinstance(value, list):
        return [_text(element, as_base64=as_base64) for element in value]
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "replace")
