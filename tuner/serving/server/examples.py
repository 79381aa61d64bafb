"""The JSON bodies of the classify and regress API: examples in, results out. Pure.

The rules and error texts follow "Classify and Regress API" in TensorFlow Serving's documentation
and its `util/json_tensor.cc`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .codec import decimals, encode_results
from .messages import Proto, message_class
from .status import invalid
from .tensors import bytes_of, is_bytes, json_type, shown

_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_LISTS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def decode(document: Mapping[str, Any]) -> list[bytes]:
    """The serialized `tensorflow.Example` messages in `document`, each with the shared context.

    Raises StatusError (INVALID_ARGUMENT) where the document is no such request.
    """
    # Serialized messages behind one another are one message with the fields of both.
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(
            f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return [context + _example(example) for example in examples]


def encode_classes(labels: npt.NDArray[Any] | None, scores: npt.NDArray[Any] | None) -> bytes:
    """The JSON body for classes: for each example a list of `[label, score]`.

    `labels` (bytes objects) and `scores` (float32) have the shape (examples, classes); one of them
    may be missing.
    """
    found = scores if labels is None else labels
    assert found is not None
    if not len(found):
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    numbers = np.zeros(found.shape, np.float32) if scores is None else scores
    words = np.full(found.shape, b"", np.object_) if labels is None else labels
    results = [
        [
            [word.decode("utf-8", "replace"), number]
            for word, number in zip(row, values, strict=True)
        ]
        for row, values in zip(words.tolist(), decimals(numbers), strict=True)
    ]
    return encode_results(results, numbers)


def encode_values(values: npt.NDArray[Any]) -> bytes:
    """The JSON body for the regression `values`, one float32 for each example."""
    if not len(values):
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return encode_results(decimals(values), values)


def _example(value: Any) -> bytes:  # noqa: ANN401 any JSON value
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    example = message_class("tensorflow.Example")()
    for name, content in value.items():
        elements = content if isinstance(content, list) else [content]
        _fill(example.features.feature[name], name, elements)
    serialized: bytes = example.SerializeToString()
    return serialized


def _fill(feature: Proto, name: str, elements: Sequence[Any]) -> None:
    for element in elements:
        kind, value = _typed(name, element)
        present = feature.WhichOneof("kind")
        if present not in {None, kind}:
            raise invalid(
                f"Unexpected element type in feature: {name} expecting type: {_LISTS[present]}"
            )
        getattr(feature, kind).value.append(value)


def _typed(name: str, element: Any) -> tuple[str, Any]:  # noqa: ANN401 any JSON value
    """The list of a Feature that `element` belongs to, and what to put there."""
    if isinstance(element, str):
        return "bytes_list", element.encode()
    if is_bytes(element):
        return "bytes_list", bytes_of(element)
    if isinstance(element, int) and int(element) in _INT64:
        return "int64_list", int(element)
    if isinstance(element, int) and element in _UINT64:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    if isinstance(element, int | float):
        if math.isfinite(element) and abs(element) > _LARGEST_FLOAT:
            raise invalid(
                f"Cannot convert JSON value: {shown(element)} to float without loss of precision."
            )
        return "float_list", float(element)
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(element)}")
