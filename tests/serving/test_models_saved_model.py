"""What is read of a SavedModel without TensorFlow, and what a PredictRequest holds."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tuner.errors import InputError
from tuner.serving.predict_message import decode_response, encode_request
from tuner.serving.saved_model import read_signatures
from tuner.serving.server.messages import message_class
from tuner.serving.server.signatures import NUMPY_TYPES, Signature, TensorSpec, protobuf_module
from tuner.serving.server.tensor_proto import array_of, tensor_of

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two" / "00000123"


def test_signatures_are_read() -> None:
    signatures = read_signatures(HALF_PLUS_TWO)
    assert signatures["serving_default"] == Signature(
        "tensorflow/serving/predict",
        {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 1))},
        {"y": TensorSpec("y:0", "DT_FLOAT", (-1, 1))},
    )
    assert signatures["classify_x_to_y"].inputs == {
        "inputs": TensorSpec("tf_example:0", "DT_STRING", None)
    }
    assert sorted(signatures) == list(signatures)
    assert len(signatures) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"no protocol buffer \xff", "is not the file of a SavedModel"),
        (b"", "no graph at all"),
        # A graph whose tags are `train` and `gpu`.
        (b"\x12\x0e\x0a\x0c\x22\x05train\x22\x03gpu", r"tag 'serve'; its tags: gpu\+train"),
    ],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_signatures(tmp_path)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Any]:
    dtype = draw(st.sampled_from(sorted(NUMPY_TYPES)))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    if dtype == "DT_STRING":
        array = np.empty(shape, np.object_)
        for index in np.ndindex(shape):
            array[index] = draw(st.binary(max_size=5))
        return dtype, array
    return dtype, draw(arrays.arrays(NUMPY_TYPES[dtype], shape))


@given(tensors())
def test_inputs_arrive_as_they_were(tensor: tuple[str, Any]) -> None:
    dtype, array = tensor
    known = Signature("", {"x": TensorSpec("x:0", dtype, None)}, {})
    request = message_class("PredictRequest").FromString(
        encode_request("m", "s", {"x": array}, known)
    )
    assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "s")
    found = array_of(request.inputs["x"], "x", 10_000)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(st.dictionaries(st.text(max_size=4), tensors(), max_size=3))
def test_outputs_are_read_as_they_were_written(outputs: dict[str, tuple[str, Any]]) -> None:
    response = message_class("PredictResponse")()
    for name, (dtype, array) in outputs.items():
        response.outputs[name].CopyFrom(tensor_of(array, dtype))
    found = decode_response(response.SerializeToString())
    assert found.keys() == outputs.keys()
    for name, (_, array) in outputs.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@given(tensors())
def test_tensorflows_own_class_reads_the_inputs(tensor: tuple[str, Any]) -> None:
    dtype, array = tensor
    known = Signature("", {"x": TensorSpec("x:0", dtype, None)}, {})
    request = message_class("PredictRequest").FromString(
        encode_request("m", "s", {"x": array}, known)
    )
    theirs = protobuf_module("framework.tensor").TensorProto.FromString(
        request.inputs["x"].SerializeToString()
    )
    assert tuple(dim.size for dim in theirs.tensor_shape.dim) == array.shape
    if dtype == "DT_STRING":
        assert list(theirs.string_val) == array.reshape(-1).tolist()
    else:
        assert theirs.tensor_content == array.tobytes()
    names = protobuf_module("framework.types").DataType
    assert names.Name(theirs.dtype) == dtype
