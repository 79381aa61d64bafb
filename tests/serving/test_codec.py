import base64
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tuner.serving.server import codec
from tuner.serving.server.codec import PredictRequest, encode
from tuner.serving.server.signatures import NUMPY_TYPES, PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.server.status import Code, StatusError
from tuner.serving.server.tensors import exact_tensor_of, tensor_of

NUMBERS = [name for name in NUMPY_TYPES if name != "DT_STRING"]


def signatures(**dtypes: str) -> dict[str, Signature]:
    inputs = {name: TensorSpec(f"{name}:0", dtype, None) for name, dtype in dtypes.items()}
    return {"serving_default": Signature(PREDICT_METHOD, inputs, {})}


def decode(content: bytes, known: dict[str, Signature]) -> PredictRequest:
    return codec.decode(codec.parse(content), known)


def body(**document: object) -> bytes:
    return json.dumps(document).encode()


def refusal(content: bytes, **dtypes: str) -> StatusError:
    with pytest.raises(StatusError) as caught:
        decode(content, signatures(**dtypes))
    return caught.value


@st.composite
def tensors(draw: st.DrawFn, min_dims: int) -> tuple[str, npt.NDArray[Any]]:
    dtype = draw(st.sampled_from(NUMBERS))
    shapes = hnp.array_shapes(min_dims=min_dims, max_dims=4, max_side=4)
    array = draw(hnp.arrays(NUMPY_TYPES[dtype], shapes))
    return dtype, array


@given(tensors(min_dims=1))
def test_rows_come_back_as_they_went(case: tuple[str, npt.NDArray[Any]]) -> None:
    dtype, array = case
    answer = json.loads(encode({"y": array}, row=True))
    request = decode(body(instances=answer["predictions"]), signatures(x=dtype))
    assert request.row
    assert request.inputs["x"].dtype == array.dtype
    np.testing.assert_array_equal(request.inputs["x"], array)


@given(tensors(min_dims=0))
def test_a_column_comes_back_as_it_went(case: tuple[str, npt.NDArray[Any]]) -> None:
    dtype, array = case
    answer = json.loads(encode({"y": array}, row=False))
    request = decode(body(inputs=answer["outputs"]), signatures(x=dtype))
    assert not request.row
    assert request.inputs["x"].dtype == array.dtype
    np.testing.assert_array_equal(request.inputs["x"], array)


@given(st.lists(st.tuples(st.binary(), st.text()), min_size=1))
def test_bytes_travel_as_base64_and_text_as_text(rows: list[tuple[bytes, str]]) -> None:
    images = np.array([image for image, _ in rows] + [None], object)[:-1]
    names = np.array([name.encode() for _, name in rows] + [None], object)[:-1]
    answer = json.loads(encode({"image_bytes": images, "name": names}, row=True))
    request = decode(
        body(instances=answer["predictions"]), signatures(image_bytes="DT_STRING", name="DT_STRING")
    )
    assert request.inputs["image_bytes"].tolist() == [image for image, _ in rows]
    assert request.inputs["name"].tolist() == [name.encode() for _, name in rows]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=8,
)
regular_values = st.integers(1, 3).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-(2**65), 2**65) | st.floats() | st.booleans(), min_size=n, max_size=n)
    )
)


@given(json_values | regular_values, st.sampled_from(list(NUMPY_TYPES)))
def test_the_quick_conversion_is_the_exact_one(value: object, dtype: str) -> None:
    def outcome(convert: Callable[[Any, str], npt.NDArray[Any]]) -> object:
        try:
            array = convert(value, dtype)
        except StatusError as error:
            return error.code, error.message
        return array.dtype, array.shape, [str(element) for element in array.flat]

    assert outcome(tensor_of) == outcome(exact_tensor_of)


def test_rows_of_objects_name_their_inputs() -> None:
    request = decode(
        body(instances=[{"a": [1, 2], "b": "u"}, {"a": [3, 4], "b": {"b64": "AP8="}}]),
        signatures(a="DT_FLOAT", b="DT_STRING"),
    )
    assert request.inputs["a"].tolist() == [[1, 2], [3, 4]]
    assert request.inputs["b"].tolist() == [b"u", b"\x00\xff"]


def test_a_column_object_names_its_inputs() -> None:
    request = decode(body(inputs={"a": [[1], [2]], "b": 3}), signatures(a="DT_FLOAT", b="DT_INT32"))
    assert request.inputs["a"].shape == (2, 1)
    assert request.inputs["b"].shape == ()


def test_the_signature_can_be_named() -> None:
    known = {**signatures(x="DT_FLOAT"), "other": signatures(z="DT_INT64")["serving_default"]}
    request = decode(body(signature_name="other", instances=[1]), known)
    assert request.signature == "other"
    assert list(request.inputs) == ["z"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b'{"instances": [NaN}', "JSON Parse error: "),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (body(instances=[1], inputs=[1]), "expecting only one of 'inputs' or 'instances'"),
        (body(instances=1), "Expecting 'instances' to be an list/array"),
        (body(instances=[]), "No values in 'instances' array"),
        (body(instances=[1], signature_name=7), "'signature_name' key must be a string value."),
        (
            body(instances=[1], signature_name="none"),
            'Serving signature name: "none" not found in signature def',
        ),
        (
            body(instances=["a"]),
            (
                "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
                'JSON Value: "a" Type: String is not of expected type: float'
            ),
        ),
        (body(instances=[True]), "JSON Value: true Type: True is not of expected type: float"),
        (body(instances=[[1, True]]), "JSON Value: true Type: True is not of expected type"),
        (body(instances=[None]), "JSON Value: null Type: Null is not of expected type: float"),
        (
            body(instances=[[1, 2], [3]]),
            (
                "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
                "Expecting tensor size: 2 but got: 1"
            ),
        ),
        (body(instances=[[[1, 2]], [[3], [4]]]), "Expecting shape [1,2] but got: [2,1]"),
        (body(instances=[[[1, 2], [3]]]), "Encountered list at unexpected size: 1 at level: 1"),
        (body(instances=[[1, [2]]]), "Encountered list at unexpected level: 1 expected < 1"),
        (body(instances=[[[1], 2]]), "JSON Value: 2 found at incorrect level: 2"),
        (body(instances=[{"x": 1}, 2]), "Expecting object but got list at item 1 of input list"),
        (body(instances=[1, {"x": 2}]), "Expecting value/list but got object at item 1"),
        (body(instances=[{"z": 1}]), "JSON object: does not have named input: z"),
        (body(instances=[{}]), "keys must be equal to: x"),
        (body(inputs={"z": 1}), "Missing named input: x in 'inputs' object."),
        (b'{"instances": ' + b"[" * 70 + b"]" * 70 + b"}", "69 dimensions is not supported"),
    ],
)
def test_a_wrong_request_is_refused_in_tensorflow_servings_words(
    content: bytes, message: str
) -> None:
    error = refusal(content, x="DT_FLOAT")
    assert message in error.message
    assert error.http_status == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (body(instances=[1]), "instances is a plain list, but expecting list of objects"),
        (body(inputs=[1]), "inputs is a plain value/list, but expecting an object"),
        (body(instances=[{"a": 1}]), "keys must be equal to: a,b"),
        (
            body(instances=[{"a": 1, "b": [1]}, {"a": 1, "b": [1, 2]}]),
            (
                "element: 1 key: b of 'instances' list. Error: INVALID_ARGUMENT: "
                "Expecting tensor size: 1 but got: 2"
            ),
        ),
    ],
)
def test_several_inputs_must_be_named(content: bytes, message: str) -> None:
    assert message in refusal(content, a="DT_FLOAT", b="DT_FLOAT").message


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.0, "DT_INT32"),
        (2**31, "DT_INT32"),
        (-1, "DT_UINT8"),
        (2**64, "DT_UINT64"),
        (1, "DT_BOOL"),
    ],
)
def test_numbers_that_do_not_fit_their_type_are_refused(value: float, dtype: str) -> None:
    assert "is not of expected type" in refusal(body(inputs=value), x=dtype).message


@pytest.mark.parametrize("value", [{"b64": "*"}, {"b64": 1}, {"b64": "AA==", "more": 1}, 1])
def test_bytes_that_are_no_base64_are_refused(value: object) -> None:
    assert refusal(body(instances=[[value]]), x="DT_STRING").code is Code.INVALID_ARGUMENT


def test_a_type_without_json_form_is_not_implemented() -> None:
    assert refusal(body(inputs=1), x="DT_COMPLEX64").http_status == 501


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(refusal(body(instances=["x" * 10_000]), x="DT_FLOAT").message) < 500


def test_not_a_number_and_infinities_pass_both_ways() -> None:
    request = decode(b'{"inputs": [NaN, Infinity, -Infinity, 0.1]}', signatures(x="DT_FLOAT"))
    values = request.inputs["x"]
    assert math.isnan(values[0])
    assert encode({"y": values}, row=False) == b'{"outputs": [NaN, Infinity, -Infinity, 0.1]}'


def test_one_output_is_bare_and_several_are_named() -> None:
    one = {"y": np.array([[1], [2]], np.float32)}
    two = {**one, "n": np.array([3, 4])}
    assert json.loads(encode(one, row=True)) == {"predictions": [[1.0], [2.0]]}
    assert json.loads(encode(one, row=False)) == {"outputs": [[1.0], [2.0]]}
    assert json.loads(encode(two, row=True)) == {
        "predictions": [{"y": [1.0], "n": 3}, {"y": [2.0], "n": 4}]
    }
    assert json.loads(encode(two, row=False)) == {"outputs": {"y": [[1.0], [2.0]], "n": [3, 4]}}


def test_only_outputs_named_bytes_are_base64() -> None:
    raw = np.array([b"\xff\x00", b""], object)
    assert json.loads(encode({"jpeg_bytes": raw}, row=True)) == {
        "predictions": [{"b64": base64.b64encode(b"\xff\x00").decode()}, {"b64": ""}]
    }
    text = np.array(["é".encode()], object)
    assert json.loads(encode({"label": text}, row=True)) == {"predictions": ["é"]}


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"y": np.float32(1) * np.ones(())},
        {"y": np.ones(2, np.float32), "z": np.ones(3, np.float32)},
    ],
)
def test_rows_need_a_common_batch_size(outputs: dict[str, npt.NDArray[Any]]) -> None:
    with pytest.raises(StatusError) as caught:
        encode(outputs, row=True)
    assert caught.value.http_status == 400
