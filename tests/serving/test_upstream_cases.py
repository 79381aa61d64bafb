"""TensorFlow Serving's own unit tests of JSON, as data: what was sent, and what came of it.

Facts of `util/json_tensor_test.cc`, `model_servers/http_rest_api_handler_test.cc` and
`servables/tensorflow/predict_util_test.cc` (2026); `source` names the test there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tuner.serving.server import codec, examples
from tuner.serving.server.signatures import PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.server.status import StatusError

LARGEST, SMALLEST = 1.7976931348623157e308, 2.2250738585072014e-308


@dataclass(frozen=True)
class Case:
    """`content` sent to a signature whose inputs have these `types`.

    `found` are the tensors by name, as nested lists, or the words of the error.
    """

    source: str
    content: str
    types: dict[str, str]
    found: dict[str, Any] | str
    row: bool = True
    signature: str = "serving_default"
    of: str = field(default="json_tensor_test", kw_only=True)


INT = {"default": "DT_INT32"}
FLOAT = {"default": "DT_FLOAT"}
STRING = {"default": "DT_STRING"}
FOUR = {
    "int_tensor": "DT_INT32",
    "str_tensor": "DT_STRING",
    "float_tensor": "DT_FLOAT",
    "dbl_tensor": "DT_DOUBLE",
}
TWO = {"int_tensor": "DT_INT32", "str_tensor": "DT_STRING"}
PAIRS = [[1, 2], [3, 4], [5, 6]]
DEEP = "[" * 50_000 + "]" * 50_000

REQUESTS = [
    Case("SingleUnnamedTensor", '{"instances": [[1,2],[3,4],[5,6]]}', INT, {"default": PAIRS}),
    Case(
        "MixedInputForFloatTensor",
        '{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}',
        FLOAT,
        {"default": np.array([1, 2, 3, 4, 5.003, 0.007, 0], np.float32).tolist()},
    ),
    Case(
        "MixedInputForDoubleTensor",
        '{"instances": [1.0, 2, 3, 4, 0.662, 0, 0.0]}',
        {"default": "DT_DOUBLE"},
        {"default": [1, 2, 3, 4, 0.662, 0, 0]},
    ),
    Case(
        "FloatTensorWithPrecisionLoss",
        '{"instances": [1435774380]}',
        FLOAT,
        {"default": [1435774336]},
    ),
    Case(
        "FloatTensorWithPrecisionLoss",
        '{"instances": [1435774380.0]}',
        FLOAT,
        {"default": [1435774336]},
    ),
    Case(
        "FloatTensorThatExceedsMaxReturnsInf",
        f'{{"instances": [{LARGEST}, {-LARGEST}]}}',
        FLOAT,
        {"default": [math.inf, -math.inf]},
    ),
    Case(
        "FloatTensorThatExceedsMinReturnsZero",
        f'{{"instances": [{SMALLEST}, {-SMALLEST}]}}',
        FLOAT,
        {"default": [0.0, -0.0]},
    ),
    Case(
        "SingleUnnamedTensorWithSignature",
        '{"signature_name": "predict_images", "instances": [[1,2]]}',
        INT,
        {"default": [[1, 2]]},
        signature="predict_images",
    ),
    Case(
        "SingleUnnamedTensorBase64Scalars",
        '{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}',
        STRING,
        {"default": [b"hello", b"world"]},
    ),
    Case(
        "SingleUnnamedTensorBase64Lists",
        '{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}',
        STRING,
        {"default": [[b"hello"], [b"world"]]},
    ),
    Case(
        "SingleNamedTensorBase64",
        '{"instances": [{"default": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]}',
        STRING,
        {"default": [[[b"hello"], [b"world"]]]},
    ),
    Case(
        "MultipleNamedTensor",
        """{"instances": [
            {"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"],
             "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]},
            {"int_tensor": [[7,8],[9,0],[1,2]], "str_tensor": ["baz", "bat"],
             "float_tensor": [2.0, Infinity], "dbl_tensor": [2.0]}]}""",
        FOUR,
        {
            "int_tensor": [PAIRS, [[7, 8], [9, 0], [1, 2]]],
            "str_tensor": [[b"foo", b"bar"], [b"baz", b"bat"]],
            "float_tensor": [[1, math.nan], [2, math.inf]],
            "dbl_tensor": [[math.nan], [2]],
        },
    ),
    Case(
        "SingleUnnamedTensorColumnarFormat",
        '{"inputs": {"default": [[[1,2],[3,4],[5,6]]]}}',
        INT,
        {"default": [PAIRS]},
        row=False,
    ),
    Case(
        "SingleUnnamedTensorColumnarFormat",
        '{"inputs": [[[1,2],[3,4],[5,6]]]}',
        INT,
        {"default": [PAIRS]},
        row=False,
    ),
    Case(
        "MultipleNamedTensorColumnarFormat",
        """{"inputs": {"int_tensor": [[[1,2],[3,4],[5,6]]], "str_tensor": ["foo", "bar"],
            "bin_tensor": {"b64": "aGVsbG8="}}}""",
        {**TWO, "bin_tensor": "DT_STRING"},
        {"int_tensor": [PAIRS], "str_tensor": [b"foo", b"bar"], "bin_tensor": b"hello"},
        row=False,
    ),
    Case("SingleUnnamedTensorErrors", "", INT, "document is empty"),
    Case(
        "SingleUnnamedTensorErrors",
        '{"signature_name": 5, "instances": [[1,2],[3,4],[5,6,7]]}',
        INT,
        "must be a string value",
    ),
    Case(
        "SingleUnnamedTensorErrors",
        '{"instances": [[1,2]], "inputs": [[1,2]]}',
        INT,
        "Not formatted correctly",
    ),
    Case(
        "SingleUnnamedTensorErrors",
        '{"instances": [[1,2],[3,4],[5,6,7]]}',
        INT,
        "Expecting tensor size",
    ),
    Case(
        "SingleUnnamedTensorErrors", '{"instances": [[1,2],[3,4],[[5,6]]]}', INT, "Expecting shape"
    ),
    Case("SingleUnnamedTensorErrors", '{"instances": [1, [1]]}', INT, "Expecting shape"),
    Case(
        "SingleUnnamedTensorErrors",
        '{"instances": [[1,2],["a", "b"]]}',
        INT,
        "not of expected type",
    ),
    Case(
        "MultipleNamedTensorErrors",
        """{"instances": [{"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"]},
            {"int_tensor": [[[7,8],[9,0],[1,2]]], "str_tensor": ["baz", "bat"]}]}""",
        TWO,
        "Expecting shape",
    ),
    Case(
        "MultipleNamedTensorErrors",
        """{"instances": [{"int_tensor": [[1,2],[3,4],[5,6],[7,8]], "str_tensor": ["a", "b"]},
            {"int_tensor": [[7,8],[9,0],[1,2]], "str_tensor": ["baz", "bat"]}]}""",
        TWO,
        "Expecting tensor size",
    ),
    Case(
        "MultipleNamedTensorErrors",
        '{"instances": [{"int_tensor": [[1,2]], "str_tensor": ["a"]}, [1, 20, 30]]}',
        TWO,
        "Expecting object but got list",
    ),
    Case(
        "MultipleNamedTensorErrors",
        '{"instances": [["baz", "bar"], {"str_tensor": ["baz", "bat"]}]}',
        {"str_tensor": "DT_STRING"},
        "Expecting value/list but got object",
    ),
    Case(
        "PredictRequestErrors",
        "instances = [1, 2]",
        FLOAT,
        "JSON Parse error: Invalid value",
        of="http_rest_api_handler_test",
    ),
    Case(
        "PredictRequestErrors",
        '{"instances": ["x", "y"]}',
        FLOAT,
        "not of expected type: float",
        of="http_rest_api_handler_test",
    ),
    Case(
        "PredictRequestErrors",
        '{"signature_name": 100}',
        FLOAT,
        "'signature_name' key must be a string value.",
        of="http_rest_api_handler_test",
    ),
    # Not in its tests: its sources say so (`FillPredictRequestFromJson`).
    Case("", '{"instances": 5}', FLOAT, "Expecting 'instances' to be an list/array"),
    Case("", '{"instances": {"default": 5}}', FLOAT, "Expecting 'instances' to be an list/array"),
    Case("", '{"instances": []}', FLOAT, "No values in 'instances' array"),
    Case("", '{"inputs": 5}', FLOAT, {"default": 5.0}, row=False),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: f"{case.of}.{case.source}")
def test_a_request_comes_to_the_same(case: Case) -> None:
    inputs = {name: TensorSpec(f"{name}:0", dtype, None) for name, dtype in case.types.items()}
    known = {case.signature: Signature(PREDICT_METHOD, inputs, {})}
    if isinstance(case.found, str):
        with pytest.raises(StatusError) as caught:
            codec.decode(codec.parse(case.content.encode()), known)
        assert case.found in caught.value.message
        assert caught.value.http_status == 400
        return
    request = codec.decode(codec.parse(case.content.encode()), known)
    assert (request.signature, request.row) == (case.signature, case.row)
    assert request.inputs.keys() == case.found.keys()
    for name, array in request.inputs.items():
        # As text: NaN is NaN there, and -0.0 is not 0.0.
        assert repr(array.tolist()) == repr(np.array(case.found[name], array.dtype).tolist())


@pytest.mark.parametrize(
    "content", [f'{{"instances": [1], "nested": {DEEP}}}', f'{{"signature_name": {DEEP}}}']
)
def test_what_is_nested_deeply_is_refused(content: str) -> None:
    """DeeplyNestedWellFormed, DeeplyNestedMalformed: there the first one is answered."""
    with pytest.raises(StatusError, match="JSON Parse error") as caught:
        codec.parse(content.encode())
    assert caught.value.http_status == 400


ANSWERS: list[tuple[str, dict[str, Any], bool, str]] = [
    (
        "FromJsonSingleTensor",
        {"int_tensor": np.arange(12, dtype=np.int32).reshape(2, 3, 2)},
        True,
        '{"predictions": [[[0,1],[2,3],[4,5]],[[6,7],[8,9],[10,11]]]}',
    ),
    (
        "FromJsonSingleTensor",
        {"int_tensor": np.arange(4, dtype=np.int32).reshape(2, 2)},
        False,
        '{"outputs": [[0,1],[2,3]]}',
    ),
    (
        "FromJsonSingleScalarTensor",
        {"int_tensor": np.arange(1, 6, dtype=np.int32)},
        True,
        '{"predictions": [1,2,3,4,5]}',
    ),
    (
        "FromJsonSingleScalarTensor",
        {"int_tensor": np.arange(1, 6, dtype=np.int32)},
        False,
        '{"outputs": [1,2,3,4,5]}',
    ),
    (
        "FromJsonSingleBytesTensor",
        {"str_tensor_bytes": np.array([[b"hello", b"world"], [b"tf", b"serving"]], object)},
        True,
        """{"predictions": [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}],
            [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]}""",
    ),
    (
        "FromJsonSingleFloatTensorSixDigitPrecision",
        {"float_tensor": np.array([[9e6, 999999, 0.5], [3e-4, 3e-5, 555557.5]], np.float32)},
        True,
        '{"predictions": [[9e+06, 999999.0, 0.5], [0.0003, 3e-05, 555557.5]]}',
    ),
    (
        "FromJsonSingleFloatTensorNonFinite",
        {"float_tensor": np.array([[math.nan, math.inf], [3, -math.inf]], np.float32)},
        True,
        '{"predictions": [[NaN, Infinity], [3.0, -Infinity]]}',
    ),
    (
        "FromJsonMultipleNamedTensors",
        {
            "double_scalar_tensor": np.array([8.0, 9.0]),
            "float_tensor": np.array([[1.0], [2.0]], np.float32),
            "str_tensor_bytes": np.array([[b"hello"], [b"tf"]], object),
        },
        True,
        """{"predictions": [
            {"double_scalar_tensor": 8.0, "float_tensor": [1.0],
             "str_tensor_bytes": [{"b64": "aGVsbG8="}]},
            {"double_scalar_tensor": 9.0, "float_tensor": [2.0],
             "str_tensor_bytes": [{"b64": "dGY="}]}]}""",
    ),
    (
        "FromJsonMultipleNamedTensors",
        {
            "double_scalar_tensor": np.array([8.0, 9.0]),
            "float_tensor": np.array([[1.0], [2.0]], np.float32),
        },
        False,
        '{"outputs": {"double_scalar_tensor": [8.0, 9.0], "float_tensor": [[1.0], [2.0]]}}',
    ),
    (
        "FromJsonSingleZeroBatchTensor",
        {"int_tensor": np.zeros((0, 2), np.int32)},
        True,
        '{"predictions": []}',
    ),
    (
        "FromJsonMultipleZeroBatchTensors",
        {"str_tensor": np.empty((0, 1, 2), object), "float_tensor": np.zeros((0, 3, 4))},
        True,
        '{"predictions": []}',
    ),
]


@pytest.mark.parametrize(
    ("outputs", "row", "written"), [pytest.param(*rest, id=source) for source, *rest in ANSWERS]
)
def test_an_answer_is_written_the_same(outputs: dict[str, Any], row: bool, written: str) -> None:
    found = json.loads(codec.encode(outputs, row=row))
    assert repr(found) == repr(json.loads(written))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        pytest.param({}, "empty tensor map", id="FromJsonSingleTensorErrors"),
        pytest.param(
            {"tensor": np.zeros(2, np.complex64)},
            "Failed to write JSON value for tensor type: complex64",
            id="FromJsonSingleTensorErrors",
        ),
        pytest.param(
            {"tensor": np.int32(1) * np.ones(())},
            "no shape information",
            id="FromJsonSingleTensorErrors",
        ),
        pytest.param(
            {"int_tensor": np.zeros((2, 3)), "str_tensor": np.zeros((1, 3))},
            "inconsistent batch size",
            id="FromJsonMultipleNamedTensorsErrors",
        ),
        pytest.param(
            {"int_tensor": np.zeros((0, 2)), "str_tensor": np.zeros((1, 2))},
            "inconsistent batch size",
            id="FromJsonMultipleZeroBatchTensorsErrors",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_the_same_words(
    outputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(StatusError, match=words) as caught:
        codec.encode(outputs, row=True)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"signature_name": ["hello"], "examples": [{"names": ["foo"]}]}', "must be a string"),
        ('{"context": [{"names": ["foo", "bar"]}]}', "Example must be JSON object"),
        ('{"examples": {"names": ["foo", "bar"]}}', "list/array"),
        ('{"examples": [[{"names": ["foo", "bar"]}]]}', "Example must be JSON object"),
        ('{"examples": [{"names": [10, null]}]}', "element with unexpected JSON type: Null"),
        ('{"examples": [{"names": [10, 10.0]}]}', "feature: names expecting type: int64"),
        ('{"examples": [{"names": [10, {"test": 10}]}]}', "unexpected JSON type: Object"),
        ('{"examples": [{"names": [[10], 20]}]}', "unexpected JSON type: Array"),
        ('{"examples": [{"names": [20, 18446744073709551603]}]}', "Only int64_t is supported"),
    ],
)
def test_wrong_examples_are_refused_as_in_json_errors(content: str, words: str) -> None:
    """ClassifyRegressRequestTest.JsonErrors."""

    def decode() -> None:
        document = codec.parse(content.encode())
        codec.signature_name(document)
        examples.decode(document)

    with pytest.raises(StatusError, match=words) as caught:
        decode()
    assert caught.value.http_status == 400
