"""The server of ONNX models, a process of the files of its image: REST, gRPC, start and end."""

import json
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.serving.onnx_models import (
    infer,
    needs_onnx,
    page,
    serving,
    write,
    write_half_plus_two,
)
from tests.serving.processes import Running
from tuner.serving.open_inference.rpc import SERVICE, message
from tuner.serving.open_inference.tensors import SCHEMA
from tuner.serving.server.messages import Proto
from tuner.serving.server.status import StatusError

pytestmark = needs_onnx

X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [2, 4]}
S = {"name": "s", "shape": [1], "datatype": "BYTES", "data": ["é"]}
Y = {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [3.0, 4.0]}
SAME = {"name": "same", "shape": [1], "datatype": "BYTES", "data": ["é"]}
ANSWER = {"model_name": "m", "model_version": "3", "outputs": [Y, SAME]}


@pytest.fixture(scope="module")
def onnx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of version 3, with batching; its bodies may have 1 MiB."""
    home = tmp_path_factory.mktemp("onnx")
    write_half_plus_two(home / "m" / "3" / "model.onnx")
    write_half_plus_two(home / "m" / "2" / "model.onnx")
    flags = (f"--max_body_bytes={2**20}", "--enable_batching=true", "--max_batch_size=64")
    with serving(home, home / "m", *flags) as server:
        yield server


@pytest.fixture
def channel(onnx_server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{onnx_server.grpc_port}") as opened:
        yield opened


def test_the_server_and_its_model_say_what_they_are(onnx_server: Running) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert onnx_server.ask("GET", path) == (200, {path.rpartition("/")[2]: True})
    status, about = onnx_server.ask("GET", "/v2")
    assert (status, about["name"]) == (200, "tune-onnxruntime")
    for model in ("/v2/models/m", "/v2/models/m/versions/3"):
        assert onnx_server.ask("GET", f"{model}/ready") == (200, {"name": "m", "ready": True})
        assert onnx_server.ask("GET", model) == (
            200,
            {
                "name": "m",
                "versions": ["3"],
                "platform": "onnxruntime_onnx",
                "inputs": [
                    {"name": "x", "datatype": "FP32", "shape": [-1, -1]},
                    {"name": "s", "datatype": "BYTES", "shape": [-1]},
                ],
                "outputs": [
                    {"name": "y", "datatype": "FP32", "shape": [-1, -1]},
                    {"name": "same", "datatype": "BYTES", "shape": [-1]},
                ],
            },
        )


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"inputs": [X, S]}, ANSWER),
        ({"id": "42", "inputs": [S, X]}, {**ANSWER, "id": "42"}),
        ({"inputs": [{**X, "data": [[2.0, 4.0]]}, S]}, ANSWER),
        ({"inputs": [X, S], "outputs": [{"name": "same"}]}, {**ANSWER, "outputs": [SAME]}),
    ],
)
def test_inference_is_right(onnx_server: Running, document: object, answer: object) -> None:
    assert infer(onnx_server, document) == (200, answer)
    assert infer(onnx_server, document, "/v2/models/m/versions/3/infer") == (200, answer)


def test_tensors_may_follow_the_json_as_raw_bytes(onnx_server: Running) -> None:
    x = struct.pack("<2f", 2, 4)
    s = struct.pack("<I", 2) + "é".encode()
    document = {
        "inputs": [
            {**X, "data": None, "parameters": {"binary_data_size": len(x)}},
            {**S, "data": None, "parameters": {"binary_data_size": len(s)}},
        ],
        "outputs": [{"name": "same"}, {"name": "y", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    with closing(onnx_server.connect()) as connection:
        connection.request("POST", "/v2/models/m/infer", head + x + s, headers)
        with connection.getresponse() as response:
            body = response.read()
            assert response.status == 200, body
            length = int(response.headers["Inference-Header-Content-Length"])
    same, y = json.loads(body[:length])["outputs"]
    assert same == SAME
    assert y["parameters"] == {"binary_data_size": 8}
    assert struct.unpack("<2f", body[length:]) == (3, 4)
    assert onnx_server.ask("POST", "/v2/models/m/infer", head + x, headers)[0] == 400
    assert onnx_server.ask("POST", "/v2/models/m/infer", head + x + s + b"!", headers)[0] == 400


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ([], "Is not object"),
        ({}, "'inputs' must be a list of objects; it is null"),
        ({"inputs": [X]}, "input 's' is missing; the inputs are 'x', 's'"),
        ({"inputs": [X, S, {**X, "name": "z"}]}, "there is no input 'z'"),
        ({"inputs": [X, X, S]}, "input 'x' is there twice"),
        ({"inputs": [{**X, "datatype": "INT64"}, S]}, "input 'x' is of datatype FP32, not INT64"),
        ({"inputs": [{**X, "datatype": "FLOAT"}, S]}, 'datatype "FLOAT" is none of BOOL'),
        ({"inputs": [{**X, "shape": [3]}, S]}, "has data of shape [2], not of its shape [3]"),
        ({"inputs": [{**X, "shape": [-1, 2]}, S]}, "shape [-1, 2] is not a list of sizes"),
        ({"inputs": [{**X, "data": ["a", "b"]}, S]}, "is not of expected type: float"),
        (
            {"inputs": [{**X, "shape": [2]}, {**S, "shape": [2], "data": ["a", "b"]}]},
            "Invalid rank for input: x",
        ),
        ({"inputs": [X, S], "outputs": [{"name": "q"}]}, "there is no output 'q'"),
        ({"inputs": [X, S], "id": 4}, "id 4 is not a string"),
        ({"inputs": [X, S], "parameters": 4}, "parameters must be an object; they are 4"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    onnx_server: Running, document: object, error: str
) -> None:
    status, answer = infer(onnx_server, document)
    assert status == 400
    assert error in answer["error"]


def test_what_is_not_there_is_404_and_a_large_body_413(onnx_server: Running) -> None:
    for method, path in (
        ("GET", "/v2/models/other"),
        ("GET", "/v2/models/m/versions/2/ready"),
        ("POST", "/v2/models/m/versions/2/infer"),
        ("POST", "/v1/models/m:predict"),
        ("GET", "/v2/models/m/infer"),
        ("POST", "/v2/models/m"),
        ("PUT", "/v2/models/m/infer"),
    ):
        assert onnx_server.ask(method, path, b"{}")[0] == 404, path
    assert onnx_server.ask("POST", "/v2/models/m/infer", b" " * (2**20 + 1))[0] == 413


def call(channel: grpc.Channel, method: str, request: Proto) -> Proto:
    send = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=lambda one: one.SerializeToString(),
        response_deserializer=SCHEMA.message_class(f"inference.{method}Response").FromString,
    )
    return send(request, timeout=30)


def infer_request(*, raw: bool) -> Proto:
    request = message("ModelInferRequest", model_name="m", id="7")
    x = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    s = request.inputs.add(name="s", datatype="BYTES", shape=[1])
    if raw:
        request.raw_input_contents.append(struct.pack("<2f", 2, 4))
        request.raw_input_contents.append(struct.pack("<I", 2) + "é".encode())
    else:
        x.contents.fp32_contents.extend([2, 4])
        s.contents.bytes_contents.append("é".encode())
    return request


def test_grpc_answers_in_the_form_of_the_request(channel: grpc.Channel) -> None:
    answer = call(channel, "ModelInfer", infer_request(raw=False))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "7")
    assert [one.name for one in answer.outputs] == ["y", "same"]
    assert list(answer.outputs[0].shape) == [1, 2]
    assert list(answer.outputs[0].contents.fp32_contents) == [3, 4]
    assert list(answer.outputs[1].contents.bytes_contents) == ["é".encode()]
    answer = call(channel, "ModelInfer", infer_request(raw=True))
    assert not answer.outputs[0].HasField("contents")
    assert struct.unpack("<2f", answer.raw_output_contents[0]) == (3, 4)


def test_grpc_says_what_the_server_and_its_model_are(channel: grpc.Channel) -> None:
    assert call(channel, "ServerLive", message("ServerLiveRequest")).live
    assert call(channel, "ServerReady", message("ServerReadyRequest")).ready
    about = call(channel, "ServerMetadata", message("ServerMetadataRequest"))
    assert about.name == "tune-onnxruntime"
    assert call(channel, "ModelReady", message("ModelReadyRequest", name="m")).ready
    assert not call(channel, "ModelReady", message("ModelReadyRequest", name="n")).ready
    found = call(channel, "ModelMetadata", message("ModelMetadataRequest", name="m", version="3"))
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [
        ("x", "FP32", [-1, -1]),
        ("s", "BYTES", [-1]),
    ]


def test_a_wrong_grpc_request_has_its_code(channel: grpc.Channel) -> None:
    def code(request: Proto) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, "ModelInfer", request)
        name: str = caught.value.code().name
        return name

    request = infer_request(raw=False)
    request.model_name = "other"
    assert code(request) == "NOT_FOUND"
    request = infer_request(raw=False)
    request.inputs[0].contents.fp32_contents.pop()
    assert code(request) == "INVALID_ARGUMENT"
    request = infer_request(raw=True)
    request.raw_input_contents.pop()
    assert code(request) == "INVALID_ARGUMENT"
    request.raw_input_contents.append(b"\xff\xff\xff\xff")
    assert code(request) == "INVALID_ARGUMENT"


def test_requests_at_once_get_their_own_answers_and_are_counted(onnx_server: Running) -> None:
    def ask(number: int) -> tuple[int, Any]:
        return infer(onnx_server, {"inputs": [{**X, "data": [number, 0]}, S]})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    assert [answer["outputs"][0]["data"] for _, answer in answers] == [
        [number / 2 + 2, 2.0] for number in range(64)
    ]
    counted = page(onnx_server)
    assert 'open_inference_request_count{model_name="m",status="OK"} ' in counted
    assert "open_inference_batching_session:processed_batch_size_count" in counted


def test_a_signal_ends_it(tmp_path: Path) -> None:
    write_half_plus_two(tmp_path / "m" / "1" / "model.onnx")
    with serving(tmp_path, tmp_path / "m", "--grpc_port=0") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_without_a_model_the_start_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    with pytest.raises(AssertionError), serving(tmp_path, tmp_path / "m"):
        pytest.fail("it serves")
    assert "has no numbered version with a file model.onnx" in (tmp_path / "log").read_text()


def test_a_model_that_cannot_be_served_is_refused_with_the_reason(tmp_path: Path) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415 not needed with the skip

    from tuner.serving.open_inference.session import SessionSettings, load  # noqa: PLC0415 likewise

    def reason(file: Path) -> str:
        with pytest.raises(StatusError) as caught:
            load("m", 1, file, SessionSettings())
        return caught.value.message

    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no model")
    assert "INVALID_PROTOBUF" in reason(damaged)
    sequence = write(
        tmp_path / "sequence.onnx",
        [helper.make_node("SequenceConstruct", ["x"], ["q"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_sequence_value_info("q", TensorProto.FLOAT, None)],
    )
    assert "output 'q' is of type seq(tensor(float))" in reason(sequence)
