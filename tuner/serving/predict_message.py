"""Encodes TensorFlow Serving's PredictRequest and decodes its PredictResponse. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from tuner.serving.server.messages import message_class
from tuner.serving.server.signatures import TENSOR_TYPES, Signature
from tuner.serving.server.tensor_proto import array_of, type_number

LARGEST_TENSOR_BYTES = 2**31 - 1
"""More than a message of protobuf can have, so no limit of its own."""


def encode_request(
    model: str, name: str, inputs: Mapping[str, npt.NDArray[Any]], signature: Signature
) -> bytes:
    """A PredictRequest for the newest version of `model` and its signature called `name`."""
    request = message_class("PredictRequest")()
    request.model_spec.name = model
    request.model_spec.signature_name = name
    for key, array in inputs.items():
        _fill(request.inputs[key], array, signature.inputs[key].dtype)
    encoded: bytes = request.SerializeToString(deterministic=True)
    return encoded


def decode_response(message: bytes) -> dict[str, npt.NDArray[Any]]:
    """The outputs of a PredictResponse by name. Elements of DT_STRING are bytes.

    Raises ValueError for any other message, StatusError for a tensor that cannot be read.
    """
    try:
        outputs = message_class("PredictResponse").FromString(message).outputs
    except DecodeError as error:
        raise ValueError("not a PredictResponse") from error
    return {name: array_of(outputs[name], name, LARGEST_TENSOR_BYTES) for name in sorted(outputs)}


def _fill(tensor: Any, array: npt.NDArray[Any], dtype: str) -> None:  # noqa: ANN401 a message
    """Write numbers as raw memory, as `tf.make_tensor_proto` does: a server copies it at once."""
    tensor.dtype = type_number(dtype)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == "DT_STRING":
        tensor.string_val.extend(array.reshape(-1).tolist())
    else:
        little = np.dtype(TENSOR_TYPES[dtype]).newbyteorder("<")
        tensor.tensor_content = np.ascontiguousarray(array, little).tobytes()
