"""The REST API over HTTP: paths, statuses and bodies, each as in TensorFlow Serving's own tests."""

import gzip
from typing import Any

import pytest

from tests.serving.processes import MODEL, PREDICT, Running, needs_tensorflow

pytestmark = needs_tensorflow

SIGNATURES = {
    "serving_default",
    "classify_x_to_y",
    "regress_x_to_y",
    "regress_x_to_y2",
    "regress_x2_to_y3",
}
AVAILABLE = {
    "version": "123",
    "state": "AVAILABLE",
    "status": {"error_code": "OK", "error_message": ""},
}


@pytest.mark.parametrize(
    "path",
    [
        MODEL,
        f"{MODEL}/versions/123",
        f"/V1/Models{MODEL[10:]}",
        f"{MODEL}/labels/unknown",  # a status is by version only
    ],
)
def test_the_status_is_available(server: Running, path: str) -> None:
    assert server.ask("GET", path) == (200, {"model_version_status": [AVAILABLE]})


@pytest.mark.parametrize("path", [f"{MODEL}/metadata", f"{MODEL}/versions/123/metadata"])
def test_metadata_shows_the_signatures(server: Running, path: str) -> None:
    status, answer = server.ask("GET", path)
    assert status == 200
    assert answer["model_spec"] == {
        "name": "half_plus_two",
        "signature_name": "",
        "version": "123",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == SIGNATURES
    sizes = [{"size": "-1", "name": ""}, {"size": "1", "name": ""}]
    assert signatures["serving_default"]["inputs"] == {
        "x": {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": sizes, "unknown_rank": False},
            "name": "x:0",
        }
    }
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
        ({"instances": [[1.0, 2.0], [3, 4]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
        ({"instances": [{"x": [4]}]}, {"predictions": [[4.0]]}),
        ({"inputs": [[1.0], [2.0]]}, {"outputs": [[2.5], [3.0]]}),
        ({"inputs": {"x": [[6]]}}, {"outputs": [[5.0]]}),
        ({"inputs": 6}, {"outputs": 5.0}),
        ({"inputs": []}, {"outputs": []}),
        ({"inputs": {"x": [[]]}}, {"outputs": [[]]}),
        ({"signature_name": "regress_x2_to_y3", "instances": [[0]]}, {"predictions": [[3.0]]}),
        ({"signature_name": "", "instances": [[0]]}, {"predictions": [[2.0]]}),
    ],
)
def test_predictions_are_right(server: Running, document: object, answer: object) -> None:
    assert server.predict(document) == (200, answer)
    assert server.predict(document, f"{MODEL}/versions/123:predict") == (200, answer)


def test_numbers_that_are_not_finite_pass(server: Running) -> None:
    status, answer = server.ask("POST", PREDICT, b'{"instances": [NaN, Infinity, -Infinity, 1]}')
    assert status == 200
    assert str(answer) == "{'predictions': [nan, inf, -inf, 2.5]}"


def test_classify_and_regress(server: Running) -> None:
    examples = {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": [20.0]}]}
    assert server.predict(examples, f"{MODEL}:regress") == (200, {"results": [42.0, 12.0]})
    examples["signature_name"] = "classify_x_to_y"
    answer = {"results": [[["", 42.0]], [["", 12.0]]]}
    assert server.predict(examples, f"{MODEL}/versions/123:classify") == (200, answer)
    shared = {"signature_name": "regress_x_to_y", "context": {"x": 80.0}, "examples": [{}, {}]}
    assert server.predict(shared, f"{MODEL}:regress") == (200, {"results": [42.0, 42.0]})


@pytest.mark.parametrize(
    ("verb", "document", "error"),
    [
        ("regress", {"examples": [{"x": 1.0}]}, "No regression inputs found in SignatureDef:"),
        ("classify", {"examples": [{"x": 1.0}]}, "No classification inputs found in SignatureDef:"),
        (
            "classify",
            {"signature_name": "none", "examples": [{}]},
            "No signature was found with the name: none",
        ),
        (
            "regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 1}]},
            "Data types don't match",
        ),
        (
            "regress",
            {"signature_name": "regress_x_to_y", "examples": [{}]},
            "Feature: x (data type: float) is required but could not be found",
        ),
    ],
)
def test_what_does_not_suit_the_signature_is_the_senders_error(
    server: Running, verb: str, document: object, error: str
) -> None:
    status, answer = server.predict(document, f"{MODEL}:{verb}")
    assert status == 400
    assert error in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", f"{MODEL}/versions/5", 404, "Could not find version 5 of model half_plus_two"),
        ("GET", "/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("GET", f"{MODEL}/labels/a/metadata", 400, "Unrecognized servable version label: a"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/a%2Fb:predict", 404, "Servable not found for request: Latest(a/b)"),
        (
            "POST",
            f"{MODEL}/versions/5:predict",
            404,
            "Servable not found for request: Specific(half_plus_two, 5)",
        ),
        ("POST", f"{MODEL}99:predict", 404, "Latest(half_plus_two99)"),
        ("POST", f"{MODEL}/labels/a:predict", 400, "Unrecognized servable version label: a"),
        (
            "POST",
            f"{MODEL}/versions/18446744073709551615:regress",
            400,
            "Failed to convert version: 18446744073709551615 to numeric.",
        ),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", 400, "Malformed request: POST /v1/foo"),
        ("POST", "/v1/models", 400, "Malformed request: POST /v1/models"),
        ("GET", "/v1/models/debug/model_name", 400, "Malformed request: GET"),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("PUT", PREDICT, 400, f"Malformed request: PUT {PREDICT}"),
        ("DELETE", MODEL, 400, f"Malformed request: DELETE {MODEL}"),
        ("POST", f"{MODEL}/metadata", 400, "Malformed request: POST"),
        ("POST", MODEL, 400, "Malformed request: POST"),
        ("POST", f"{MODEL}:explain", 400, "Malformed request: POST"),
        ("POST", f"{MODEL}:PREDICT", 400, "Malformed request: POST"),
        ("GET", f"{MODEL}/version/50:predict", 400, "Malformed request: GET"),
        ("POST", f"{MODEL}/version/50:regress", 400, "Malformed request: POST"),
        ("POST", f"{MODEL}/versions/HELLO:regress", 400, "Malformed request: POST"),
        ("POST", f"{MODEL}/label/a:regress", 400, "Malformed request: POST"),
        ("POST", f"{MODEL}/versions/50/labels/a:regress", 400, "Malformed request: POST"),
        ("GET", "/", 404, "Not found: /"),
        ("GET", "/statuspage", 404, "Not found: /statuspage"),
    ],
)
def test_errors_have_tensorflow_servings_status(
    server: Running, method: str, path: str, status: int, error: str
) -> None:
    # The body would be refused too: what is wrong with the path comes first.
    body = b'{"instances": ["x"]}' if method == "POST" and "regress" not in path else None
    if method == "POST" and "regress" in path:
        body = b'{"examples": [{"x": 1.0}]}'
    found, answer = server.ask(method, path, body)
    assert list(answer) == ["error"]
    assert error in answer["error"]
    assert found == status


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"instances": [1', "JSON Parse error: Missing a comma or ] after an array element."),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b'{"signature_name": 100}', "'signature_name' key must be a string value."),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": ["x", "y"]}', '"x" Type: String is not of expected type: float'),
        (b'{"signature_name": "a", "inputs": 1}', 'Serving signature name: "a" not found'),
        (b'{"instances": [[1, 2], [3]]}', "Expecting tensor size: 2 but got: 1"),
    ],
)
def test_a_wrong_body_is_refused_in_tensorflow_servings_words(
    server: Running, body: bytes, error: str
) -> None:
    status, answer = server.ask("POST", PREDICT, body)
    assert status == 400
    assert error in answer["error"]


def test_a_body_is_read_before_the_model_is_looked_for(server: Running) -> None:
    assert server.ask("POST", "/v1/models/other:predict", b"no JSON")[0] == 400


def test_what_the_graph_refuses_is_the_senders_error(server: Running) -> None:
    document = {"signature_name": "classify_x_to_y", "instances": [{"b64": "AAAA"}]}
    status, answer = server.predict(document)
    assert status == 400
    assert "Could not parse example" in answer["error"]


def test_a_body_may_be_compressed(server: Running) -> None:
    def ask(body: bytes) -> tuple[int, Any]:
        return server.ask("POST", PREDICT, body, {"content-encoding": "gzip"})

    body = gzip.compress(b'{"instances": [2]}')
    assert ask(body) == (200, {"predictions": [3.0]})
    assert ask(body[:-9])[0] == 400
    assert ask(b"no gzip")[0] == 400
    assert ask(gzip.compress(b" " * 3 * 2**20)) == (
        413,
        {"error": "the body is larger than 2097152 bytes"},
    )


def test_metrics_count_what_was_asked(server: Running) -> None:
    name = ':tensorflow:serving:request_count{model_name="half_plus_two",status="%s"}'
    latency = (
        ":tensorflow:serving:request_latency_count"
        '{model_name="half_plus_two",API="predict",entrypoint="REST"}'
    )
    server.predict({"instances": [1]})
    server.predict({"instances": ["x"]})
    before = server.metrics()
    server.predict({"instances": [1]})
    server.predict({"instances": ["x"]})
    server.predict({"instances": [1]}, "/v1/models/other:predict")
    after = server.metrics()
    for key, more in ((name % "OK", 1), (name % "INVALID_ARGUMENT", 1), (latency, 1)):
        assert after[key] == before[key] + more
    # A name that a client made up is no label.
    assert not any("other" in key for key in after)
