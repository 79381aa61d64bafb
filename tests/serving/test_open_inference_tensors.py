"""Tensors of the Open Inference Protocol: what is written is read, and what is none refused."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tuner.serving.open_inference.rpc import message
from tuner.serving.open_inference.tensors import (
    DATATYPES,
    OF_TENSORFLOW,
    fill_contents,
    has_contents,
    of_json,
    of_message,
    of_raw,
    to_json,
    to_raw,
)
from tuner.serving.server.codec import written
from tuner.serving.server.signatures import NUMPY_TYPES
from tuner.serving.server.status import StatusError

TYPES = {OF_TENSORFLOW[name]: np.dtype(kind) for name, kind in NUMPY_TYPES.items()}
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, npt.NDArray[Any]]:
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    shape = draw(shapes)
    if datatype == "BYTES":
        count = int(np.prod(shape))
        texts = np.empty(count, np.object_)
        drawn = draw(st.lists(st.text(max_size=4), min_size=count, max_size=count))
        texts[:] = [text.encode() for text in drawn]
        return datatype, texts.reshape(shape)
    finite = st.floats(width=16, allow_nan=False, allow_infinity=False)
    numbers = arrays.arrays(
        TYPES[datatype], shape, elements=finite if datatype.startswith("FP") else None
    )
    return datatype, draw(numbers)


@given(tensors())
def test_a_tensor_survives_json_raw_bytes_and_messages(
    tensor: tuple[str, npt.NDArray[Any]],
) -> None:
    datatype, array = tensor
    shape = list(array.shape)
    data = json.loads(written({"data": to_json(array)}, [array]))["data"]
    again = [
        of_json("x", datatype, shape, data),
        of_raw("x", datatype, shape, to_raw(array)),
    ]
    if has_contents(datatype):
        request = message("ModelInferRequest")
        one = request.inputs.add(name="x", datatype=datatype, shape=shape)
        fill_contents(one.contents, datatype, array)
        again.append(of_message(one, 2**20))
    for found in again:
        assert found.shape == array.shape
        assert found.dtype == array.dtype
        assert (found == array).all()


@settings(max_examples=30)
@given(tensors(), st.binary(min_size=1, max_size=9))
def test_raw_bytes_of_another_size_are_refused(
    tensor: tuple[str, npt.NDArray[Any]], more: bytes
) -> None:
    datatype, array = tensor
    with pytest.raises(StatusError):
        of_raw("x", datatype, list(array.shape), to_raw(array) + more)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(DATATYPES)),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=3), st.lists, max_leaves=4
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    ),
)
def test_any_json_is_a_tensor_or_a_status(datatype: str, shape: object, data: object) -> None:
    try:
        array = of_json("x", datatype, shape, data)
    except StatusError:
        return
    assert list(array.shape) == shape
    assert array.dtype == TYPES[datatype]


def test_a_number_that_does_not_fit_is_refused() -> None:
    one = message("ModelInferRequest").inputs.add(name="x", datatype="INT8", shape=[1])
    one.contents.int_contents.append(300)
    with pytest.raises(StatusError, match="input 'x'"):
        of_message(one, 2**20)
    with pytest.raises(StatusError, match="is not of expected type: int8"):
        of_json("x", "INT8", [1], [300])
