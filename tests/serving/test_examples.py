"""Bodies of classify and regress; the cases are those of TensorFlow Serving's json_tensor_test."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from tuner.serving.server.codec import parse
from tuner.serving.server.examples import decode, encode_classes, encode_values
from tuner.serving.server.messages import message_class
from tuner.serving.server.status import StatusError


def features(serialized: bytes) -> dict[str, Any]:
    """Of an example: the list of each feature, by its name."""
    example = message_class("tensorflow.Example").FromString(serialized)
    return {
        name: list(getattr(feature, feature.WhichOneof("kind")).value)
        for name, feature in example.features.feature.items()
    }


def test_features_have_the_type_of_their_values() -> None:
    document = {
        "examples": [
            {"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20},
            {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 6.0, "mix": [1, True, False]},
        ]
    }
    first, second = map(features, decode(document))
    assert first == {"names": [b"foo", b"bar"], "ratings": [8.0, 9.0], "age": [20]}
    assert second == {"names": [b"baz", b"hello"], "ratings": [6.0], "mix": [1, 1, 0]}


def test_the_context_is_part_of_every_example() -> None:
    document = {"context": {"query": "pizza"}, "examples": [{"age": 1}, {"age": 2}]}
    assert list(map(features, decode(document))) == [
        {"query": [b"pizza"], "age": [1]},
        {"query": [b"pizza"], "age": [2]},
    ]


def test_numbers_need_not_be_finite() -> None:
    (example,) = decode(parse(b'{"examples": [{"a": [NaN, Infinity, -Infinity]}]}'))
    assert str(features(example)["a"]) == "[nan, inf, -inf]"


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {"names": ["foo"]}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [[{"names": 1}]]}, "Example must be JSON object but got JSON Array"),
        ({"context": [{"a": 1}]}, "Example must be JSON object but got JSON Array"),
        (
            {"examples": [{"names": [10, None]}]},
            "Feature: names has element with unexpected JSON type: Null",
        ),
        (
            {"examples": [{"names": [10, 10.0]}]},
            "Unexpected element type in feature: names expecting type: int64",
        ),
        (
            {"examples": [{"names": ["a", 1]}]},
            "Unexpected element type in feature: names expecting type: bytes",
        ),
        (
            {"examples": [{"names": [10, {"test": 10}]}]},
            "names has element with unexpected JSON type: Object",
        ),
        (
            {"examples": [{"names": [[10], 20]}]},
            "names has element with unexpected JSON type: Array",
        ),
        (
            {"examples": [{"names": [20, 18446744073709551603]}]},
            "Feature: names has uint64_t element. Only int64_t is supported.",
        ),
        ({"examples": [{"names": 1.7e308}]}, "to float without loss of precision."),
        ({"examples": [{"names": {"b64": "*"}}]}, "Unable to base64 decode"),
    ],
)
def test_wrong_examples_are_refused_in_tensorflow_servings_words(
    document: dict[str, Any], error: str
) -> None:
    with pytest.raises(StatusError) as caught:
        decode(document)
    assert error in caught.value.message
    assert caught.value.http_status == 400


def test_classes_are_pairs_of_label_and_score() -> None:
    labels = np.array([[b"car", b"bike"], [b"bus", b"car"]], object)
    scores = np.array([[0.2, 0.7], [0.1, 1]], np.float32)
    assert json.loads(encode_classes(labels, scores)) == {
        "results": [[["car", 0.2], ["bike", 0.7]], [["bus", 0.1], ["car", 1.0]]]
    }
    assert json.loads(encode_classes(None, scores))["results"][0] == [["", 0.2], ["", 0.7]]
    assert json.loads(encode_classes(labels, None))["results"][1] == [["bus", 0.0], ["car", 0.0]]


def test_values_are_a_list() -> None:
    values = np.array([0.2, 0.9, 1], np.float32)
    assert encode_values(values) == b'{"results":[0.2,0.9,1.0]}'
    wild = np.array([0.2, np.inf, -np.inf, np.nan], np.float32)
    assert encode_values(wild) == b'{"results": [0.2, Infinity, -Infinity, NaN]}'


def test_no_results_are_an_error() -> None:
    with pytest.raises(StatusError, match="empty ClassificationResults"):
        encode_classes(None, np.empty((0, 2), np.float32))
    with pytest.raises(StatusError, match="empty RegressionResults"):
        encode_values(np.empty(0, np.float32))


def test_an_example_is_what_tensorflow_reads() -> None:
    (example,) = decode({"examples": [{"x": 2.0}]})
    expected = text_format.Parse(
        'features { feature { key: "x" value { float_list { value: 2 } } } }',
        message_class("tensorflow.Example")(),
    )
    assert example == expected.SerializeToString()
    assert struct.pack("<f", 2.0) in example
