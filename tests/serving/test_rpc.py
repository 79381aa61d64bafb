"""The gRPC API, asked by gRPC's own client."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.serving.asked_in_grpc import (
    FLOAT,
    PREDICTION,
    STRING,
    Value,
    call,
    predict,
    predict_request,
)
from tests.serving.described import Gate, inference
from tests.serving.processes import Running, free_port, needs_tensorflow
from tuner.serving.server.messages import Proto, message_class
from tuner.serving.server.rpc import RpcServer

pytestmark = needs_tensorflow

STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as found:
        yield found


@pytest.mark.parametrize(
    "spec", [{}, {"version": 123}, {"signature_name": "serving_default", "version": 123}]
)
def test_predict(channel: grpc.Channel, spec: dict[str, Value]) -> None:
    response = predict(channel, predict_request(2, 4, **spec))
    assert response.model_spec.name == "half_plus_two"
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs) == ["y"]
    y = response.outputs["y"]
    assert (y.dtype, [dim.size for dim in y.tensor_shape.dim]) == (FLOAT, [2])
    assert list(y.float_val) == [3, 4]


def test_a_scalar_has_a_shape_without_dimensions(channel: grpc.Channel) -> None:
    request = predict_request(2)
    request.inputs["x"].ClearField("tensor_shape")
    y = predict(channel, request).outputs["y"]
    assert y.HasField("tensor_shape")
    assert not y.tensor_shape.dim
    assert list(y.float_val) == [3]


def test_outputs_can_be_chosen(channel: grpc.Channel) -> None:
    request = predict_request(2)
    request.output_filter.append("y")
    assert list(predict(channel, request).outputs["y"].float_val) == [3]


def without_inputs(request: Proto) -> None:
    request.inputs.clear()


def other_input(request: Proto) -> None:
    request.inputs["z"].CopyFrom(request.inputs.pop("x"))


def one_more_input(request: Proto) -> None:
    request.inputs["z"].CopyFrom(request.inputs["x"])


def wrong_type(request: Proto) -> None:
    request.inputs["x"].dtype = STRING


def wrong_content(request: Proto) -> None:
    request.inputs["x"].tensor_content = b"123"


def negative_size(request: Proto) -> None:
    request.inputs["x"].tensor_shape.dim[0].size = -5


def enormous_size(request: Proto) -> None:
    request.inputs["x"].tensor_shape.dim[0].size = 2**62


def many_dimensions(request: Proto) -> None:
    for _ in range(300):
        request.inputs["x"].tensor_shape.dim.add(size=1)


def unknown_output(request: Proto) -> None:
    request.output_filter.append("q")


def twice_the_same_output(request: Proto) -> None:
    request.output_filter.extend(["y", "y"])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (without_inputs, "input size does not match signature: 0!=1"),
        (other_input, "Signature input alias: x(feed name: x:0) not found in request"),
        (one_more_input, "Sent extra: {z}. Missing but required: {}."),
        (wrong_type, "Expects arg[0] to be float but string is provided"),
        (wrong_content, "tensor parsing error: x"),
        (negative_size, "tensor parsing error: x"),
        (enormous_size, "tensor parsing error: x"),
        (many_dimensions, "tensor parsing error: x"),
        (unknown_output, "output tensor alias not found in signature: q"),
        (twice_the_same_output, "duplicate output tensor alias: y"),
    ],
)
def test_a_wrong_request_is_an_invalid_argument(
    channel: grpc.Channel, change: Callable[[Proto], None], error: str
) -> None:
    request = predict_request(2)
    change(request)
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error in caught.value.details()


@pytest.mark.parametrize(
    ("spec", "code", "error"),
    [
        ({"name": "other"}, "NOT_FOUND", "Servable not found for request: Latest(other)"),
        ({"version": 5}, "NOT_FOUND", "Specific(half_plus_two, 5)"),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"version_label": "a"}, "INVALID_ARGUMENT", "Unrecognized servable version label: a"),
        ({"signature_name": "a"}, "FAILED_PRECONDITION", 'Serving signature key "a" not found.'),
    ],
)
def test_what_is_not_there_has_its_code(
    channel: grpc.Channel, spec: dict[str, Value], code: str, error: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, predict_request(2, **spec))
    assert caught.value.code() is grpc.StatusCode[code]
    assert error in caught.value.details()


def test_classify_and_regress(channel: grpc.Channel) -> None:
    example = message_class("tensorflow.Example")()
    example.features.feature["x"].float_list.value.append(2)
    request = message_class("ClassificationRequest")()
    request.model_spec.name = "half_plus_two"
    request.model_spec.signature_name = "classify_x_to_y"
    request.input.example_list.examples.append(example.SerializeToString())
    response = call(channel, PREDICTION + "Classify", request, "ClassificationResponse")
    assert [c.score for c in response.result.classifications[0].classes] == [3]
    request = message_class("RegressionRequest")()
    request.model_spec.name = "half_plus_two"
    request.model_spec.signature_name = "regress_x_to_y"
    shared = request.input.example_list_with_context
    shared.context = example.SerializeToString()
    shared.examples.extend([b"", b""])
    response = call(channel, PREDICTION + "Regress", request, "RegressionResponse")
    assert [r.value for r in response.result.regressions] == [3, 3]
    request.ClearField("input")
    with pytest.raises(grpc.RpcError, match=r"Input is empty\."):
        call(channel, PREDICTION + "Regress", request, "RegressionResponse")


def test_model_status(channel: grpc.Channel) -> None:
    request = message_class("GetModelStatusRequest")()
    with pytest.raises(grpc.RpcError, match="Missing ModelSpec"):
        call(channel, STATUS, request, "GetModelStatusResponse")
    request.model_spec.name = "half_plus_two"
    (status,) = call(channel, STATUS, request, "GetModelStatusResponse").model_version_status
    assert (status.version, status.state, status.status.error_code) == (123, 30, 0)
    request.model_spec.version.value = 5
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, STATUS, request, "GetModelStatusResponse")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Could not find version 5 of model half_plus_two"


def test_model_metadata(channel: grpc.Channel) -> None:
    request = message_class("GetModelMetadataRequest")()
    request.model_spec.name = "half_plus_two"
    with pytest.raises(grpc.RpcError, match="must specify at least one metadata_field"):
        call(channel, PREDICTION + "GetModelMetadata", request, "GetModelMetadataResponse")
    request.metadata_field.append("signature_def")
    response = call(channel, PREDICTION + "GetModelMetadata", request, "GetModelMetadataResponse")
    assert response.model_spec.version.value == 123
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = message_class("SignatureDefMap").FromString(packed.value).signature_def
    assert signatures["serving_default"].inputs["x"].name == "x:0"
    assert signatures["serving_default"].method_name == "tensorflow/serving/predict"
    request.metadata_field.append("more")
    with pytest.raises(grpc.RpcError, match="Metadata field more is not supported"):
        call(channel, PREDICTION + "GetModelMetadata", request, "GetModelMetadataResponse")


def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, predict_request(*range(600_000)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert list(predict(channel, predict_request(2)).outputs["y"].float_val) == [3]


@pytest.mark.parametrize("method", ["SessionRun", "MultiInference", "Nonsense"])
def test_other_methods_are_not_implemented(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, PREDICTION + method, predict_request(2), "PredictResponse")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metrics_count_grpc_requests(server: Running, channel: grpc.Channel) -> None:
    name = (
        ":tensorflow:serving:request_latency_count"
        '{model_name="half_plus_two",API="Predict",entrypoint="GRPC"}'
    )
    predict(channel, predict_request(2))
    before = server.metrics()[name]
    predict(channel, predict_request(2))
    assert server.metrics()[name] == before + 1


def code_of(channel: grpc.Channel, request: Proto) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, request)
    code: str = caught.value.code().name
    return code


def test_a_request_under_way_is_answered_before_the_server_stops(tmp_path: Path) -> None:
    gate = Gate()
    rpc = RpcServer(inference(gate, tmp_path), port := free_port(), 2, 2**20, {})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(2) as pool:
        answer = pool.submit(predict, channel, predict_request(2, name="m"))
        while not gate.inside:
            assert not answer.done()
        assert rpc.in_flight == 1
        stopping = pool.submit(rpc.stop, 30)
        while code_of(channel, predict_request(2, name="other")) == "NOT_FOUND":
            pass  # until it takes no more
        gate.opened.set()
        assert list(answer.result(30).outputs["y"].float_val) == [0]
        stopping.result(30)
    assert rpc.in_flight == 0
