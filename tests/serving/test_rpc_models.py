"""The gRPC API over models of a few nodes: types of tensors, defaults, methods of signatures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.serving.asked_in_grpc import PREDICTION, call, predict
from tests.serving.graphs import (
    Node,
    constant,
    signature,
    write_identity,
    write_saved_model,
)
from tests.serving.processes import free_port, needs_tensorflow
from tuner.serving.server.inference import Inference, run_directly
from tuner.serving.server.messages import Proto, message_class
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.model import load
from tuner.serving.server.rpc import RpcServer
from tuner.serving.server.signatures import TENSOR_TYPES
from tuner.serving.server.tensor_proto import array_of, tensor_of
from tuner.serving.server.versions import Model, ModelConfig

pytestmark = needs_tensorflow


@contextmanager
def served(directory: Path, *, check_methods: bool = False) -> Iterator[grpc.Channel]:
    """The model `m`, whose versions are in `directory`."""
    loading = partial(load, intra_op_threads=1, inter_op_threads=-1)
    model = Model(ModelConfig("m", directory), loading)
    model.refresh()
    found = Inference({"m": model}, run_directly, Metrics(), check_methods=check_methods)
    rpc = RpcServer(found, port := free_port(), 2, 2**20, {})
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        rpc.stop(30)


def request_of(**inputs: Proto) -> Proto:
    request = message_class("PredictRequest")()
    request.model_spec.name = "m"
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    return request


@pytest.mark.parametrize("dtype", sorted(TENSOR_TYPES))
def test_a_tensor_of_any_type_comes_back_as_it_went(tmp_path: Path, dtype: str) -> None:
    write_identity(tmp_path / "1", dtype)
    if dtype == "DT_STRING":
        array = np.array([[b"a", b""], [b"\xff", b"abc"]], object)
    else:
        raw = np.random.default_rng(0).integers(0, 2, 4 * np.dtype(TENSOR_TYPES[dtype]).itemsize)
        array = np.frombuffer(raw.astype(np.uint8).tobytes(), TENSOR_TYPES[dtype]).reshape(2, 2)
    with served(tmp_path) as channel:
        answer = predict(channel, request_of(x=tensor_of(array, dtype))).outputs["y"]
    assert answer.dtype == tensor_of(array, dtype).dtype
    found = array_of(answer, "y", 10_000)
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


def write_sum(directory: Path) -> None:
    """A model whose `y` is `a` and `b` together; `b` has a default, and is 5 where it lacks."""
    nodes = [
        Node("a", "Placeholder", (), {"dtype": "DT_FLOAT"}),
        Node("b", "Placeholder", (), {"dtype": "DT_FLOAT"}),
        Node("y", "AddV2", ("a", "b"), {"T": "DT_FLOAT"}),
    ]
    inputs = {"a": ("a:0", "DT_FLOAT"), "b": ("b:0", "DT_FLOAT")}
    defaults = {"b": constant("", "DT_FLOAT", float_val=[5.0]).values["value"].tensor}
    spec = signature("serving_default", inputs, {"y": ("y:0", "DT_FLOAT")}, defaults=defaults)
    write_saved_model(directory, nodes, spec)


def scalar(value: float) -> Proto:
    return tensor_of(np.full((), value, np.float32), "DT_FLOAT")


def test_an_input_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    write_sum(tmp_path / "1")
    with served(tmp_path) as channel:
        assert list(predict(channel, request_of(a=scalar(2))).outputs["y"].float_val) == [7]
        both = request_of(a=scalar(2), b=scalar(1))
        assert list(predict(channel, both).outputs["y"].float_val) == [3]
        with pytest.raises(grpc.RpcError) as caught:
            predict(channel, request_of(b=scalar(2)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "input alias: a(feed name: a:0) not found in request" in caught.value.details()
        assert "default input alias set: b" in caught.value.details()


def write_scores(directory: Path, method: str) -> None:
    """A model that answers one example, with three scores or with one value."""
    row, value = {"dim": [{"size": 1}, {"size": 3}]}, {"dim": [{"size": 1}]}
    nodes = [
        Node("x", "Placeholder", (), {"dtype": "DT_STRING"}),
        constant("scores", "DT_FLOAT", tensor_shape=row, float_val=[1.0, 2.0, 3.0]),
        constant("value", "DT_FLOAT", tensor_shape=value, float_val=[4.0]),
    ]
    inputs = {"inputs": ("x:0", "DT_STRING")}
    write_saved_model(
        directory,
        nodes,
        signature("classify", inputs, {"scores": ("scores:0", "DT_FLOAT")}, method=method),
        signature("regress", inputs, {"outputs": ("value:0", "DT_FLOAT")}, method=method),
    )


def asked_for(name: str, kind: str) -> Proto:
    request = message_class(kind)()
    request.model_spec.name = "m"
    request.model_spec.signature_name = name
    request.input.example_list.examples.append(b"")
    return request


@pytest.mark.parametrize("method", ["tensorflow/serving/predict", "any/thing", ""])
def test_a_signature_may_name_any_method(tmp_path: Path, method: str) -> None:
    write_scores(tmp_path / "1", method)
    classify, regress = (
        asked_for("classify", "ClassificationRequest"),
        asked_for("regress", "RegressionRequest"),
    )
    request = request_of(inputs=tensor_of(np.array([b""], object), "DT_STRING"))
    request.model_spec.signature_name = "regress"
    with served(tmp_path) as channel:
        response = call(channel, PREDICTION + "Classify", classify, "ClassificationResponse")
        assert [c.score for c in response.result.classifications[0].classes] == [1, 2, 3]
        response = call(channel, PREDICTION + "Regress", regress, "RegressionResponse")
        assert [r.value for r in response.result.regressions] == [4]
        assert list(predict(channel, request).outputs["outputs"].float_val) == [4]


def test_the_method_is_looked_at_where_that_is_asked_for(tmp_path: Path) -> None:
    write_scores(tmp_path / "1", "any/thing")
    with served(tmp_path, check_methods=True) as channel:
        for verb, kind, words in (
            ("Classify", "ClassificationRequest", "Expected classification signature method_name"),
            ("Regress", "RegressionRequest", "Expected regression signature method_name to be"),
        ):
            with pytest.raises(grpc.RpcError, match=words) as caught:
                call(channel, PREDICTION + verb, asked_for(verb.lower(), kind), kind)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        request = request_of(inputs=tensor_of(np.array([b""], object), "DT_STRING"))
        request.model_spec.signature_name = "regress"
        with pytest.raises(grpc.RpcError, match="Expected prediction signature") as caught:
            predict(channel, request)
        assert caught.value.code() is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    ("service", "method", "kind"),
    [
        ("PredictionService", "Predict", "PredictRequest"),
        ("PredictionService", "Classify", "ClassificationRequest"),
        ("PredictionService", "Regress", "RegressionRequest"),
        ("PredictionService", "GetModelMetadata", "GetModelMetadataRequest"),
        ("ModelService", "GetModelStatus", "GetModelStatusRequest"),
    ],
)
def test_a_request_without_a_model_is_told_so(
    tmp_path: Path, service: str, method: str, kind: str
) -> None:
    write_identity(tmp_path / "1", "DT_FLOAT")
    with served(tmp_path) as channel, pytest.raises(grpc.RpcError) as caught:
        call(channel, f"/tensorflow.serving.{service}/{method}", message_class(kind)(), kind)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Missing ModelSpec"


def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    write_identity(tmp_path / "1", "DT_DOUBLE")
    array = np.arange(100_000, dtype=np.float64)  # 0.8 MB; a client takes 4 MB unless told more
    with served(tmp_path) as channel:
        answer = predict(channel, request_of(x=tensor_of(array, "DT_DOUBLE"))).outputs["y"]
    assert array_of(answer, "y", 2**30).tolist() == array.tolist()
