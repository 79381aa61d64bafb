"""The golden requests in both protocols, and the same check of their answers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tuner.errors import InputError
from tuner.load.grpc import framed, unframed
from tuner.measure.golden import load_golden
from tuner.serving.server.messages import message_class
from tuner.serving.server.tensor_proto import array_of, tensor_of
from tuner.serving.servers.server import Requests
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.study import LoadProtocol, ModelSpec

VERSIONS = Path(__file__).parents[1] / "data" / "half_plus_two"
PAIRS = [
    ({"instances": [[1.0], [3.0]]}, {"predictions": [[2.5], [3.5]]}),
    ({"inputs": {"x": [[5]]}}, {"outputs": [[4.5]]}),
]


def model(tmp_path: Path, pairs: Sequence[tuple[object, object]]) -> ModelSpec:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "versions").symlink_to(VERSIONS)
    lines = [json.dumps({"request": request, "response": response}) for request, response in pairs]
    (tmp_path / "built" / "golden.jsonl").write_text("\n".join(lines))
    return ModelSpec("half", "", tmp_path, tmp_path / "built")


def requests(tmp_path: Path, protocol: LoadProtocol) -> Requests:
    built = model(tmp_path, PAIRS)
    return TENSORFLOW_SERVING.requests_in(protocol, built, load_golden(built.golden))


def response(values: object, name: str = "y") -> bytes:
    message = message_class("PredictResponse")()
    message.outputs[name].CopyFrom(tensor_of(np.array(values, np.float32), "DT_FLOAT"))
    encoded: bytes = message.SerializeToString()
    return encoded


def test_rest_sends_the_golden_bodies(tmp_path: Path) -> None:
    rest = requests(tmp_path, "rest")
    assert {call.path for call in rest.calls} == {"/v1/models/half:predict"}
    assert [json.loads(call.body) for call in rest.calls] == [request for request, _ in PAIRS]
    assert rest.right(0, b'{"predictions": [[2.5], [3.5]]}')
    assert not rest.right(1, b'{"predictions": [[2.5], [3.5]]}')


def test_grpc_sends_the_tensors_that_a_server_makes_of_the_json(tmp_path: Path) -> None:
    sent = [
        message_class("PredictRequest").FromString(call.body)
        for call in requests(tmp_path, "grpc").calls
    ]
    assert [(m.model_spec.name, m.model_spec.signature_name) for m in sent] == [
        ("half", "serving_default")
    ] * 2
    arrays = [array_of(m.inputs["x"], "x", 1000) for m in sent]
    assert [array.dtype for array in arrays] == [np.float32] * 2
    assert [array.tolist() for array in arrays] == [[[1.0], [3.0]], [[5.0]]]


def test_an_answer_in_grpc_is_checked_as_its_json(tmp_path: Path) -> None:
    check = requests(tmp_path, "grpc").right
    assert check(0, response([[2.5], [3.5001]]))
    assert not check(0, response([[2.5], [3.6]]))
    assert not check(0, response([2.5, 3.5]))
    assert check(1, response([[4.5]]))
    assert not check(1, response([[4.5]], name="z") + b"x")
    assert not check(1, b"\xff\xff")
    assert not check(1, b"")


@pytest.mark.parametrize(
    "request_",
    [{"instances": [["a"]]}, {"inputs": {"z": 1}}, {"signature_name": "none", "inputs": 1}],
)
def test_a_golden_request_that_does_not_fit_is_named(tmp_path: Path, request_: object) -> None:
    built = model(tmp_path, [*PAIRS, (request_, {})])
    with pytest.raises(InputError, match="golden request 2 of model half does not fit"):
        TENSORFLOW_SERVING.requests_in("grpc", built, load_golden(built.golden))


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\0", b"\1\0\0\0\0", b"\0\0\0\0\2a", framed(b"a") * 2]
)
def test_what_is_not_one_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="one whole message"):
        unframed(data)
    assert unframed(framed(data)) == data
