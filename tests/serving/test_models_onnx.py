"""An ONNX file is taken in as a model, and what cannot be is refused with a reason."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.serving.onnx_models import needs_onnx, write, write_half_plus_two
from tuner.errors import InputError
from tuner.measure.golden import load_golden, matches
from tuner.serving.added import Wish, add_model
from tuner.serving.first_run import FirstAnswers
from tuner.serving.model_facts import facts_of
from tuner.serving.onnx_file import read_onnx
from tuner.serving.servers.open_inference import arrays_of, body_of
from tuner.serving.servers.table import server_named
from tuner.spec.load import load_model
from tuner.spec.study import ModelSpec

pytestmark = needs_onnx


def runtime(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    """What ONNX Runtime answers, as the server writes it."""
    from tuner.serving.open_inference.session import SessionSettings, load  # noqa: PLC0415 by skip

    served = load(
        model.name, 1, model.versions / "1" / "model.onnx", SessionSettings(allow_spinning=True)
    )
    answers = []
    for body in bodies:
        outputs = served.run(arrays_of(orjson.loads(body), "inputs"))
        found = {"model_name": "m", "outputs": body_of(outputs)["inputs"]}
        answers.append(json.dumps(found).encode())
    return FirstAnswers(answers)


def add(root: Path, file: Path, **changes: object) -> ModelSpec:
    wish = Wish(**{"name": "half", "path": file, "dims": {"x.1": 2}, **changes})  # type: ignore[arg-type]
    add_model(wish, runtime, matches, lambda _: None, root)
    return load_model("half", root)


def test_an_onnx_file_becomes_a_model_with_golden_answers(tmp_path: Path) -> None:
    model = add(tmp_path, write_half_plus_two(tmp_path / "given" / "any.onnx"))
    assert model.server == "onnxruntime"
    golden = load_golden(model.golden)
    assert len(golden.bodies) == 8
    for body, answer in zip(golden.bodies, golden.responses, strict=True):
        asked, answered = arrays_of(json.loads(body), "inputs"), arrays_of(answer, "outputs")
        assert np.allclose(answered["y"], asked["x"] / 2 + 2)
        assert (answered["same"] == asked["s"]).all()
    server = server_named(model.server)
    for protocol in ("rest", "grpc"):
        assert len(server.requests_in(protocol, model, golden).calls) == 8
    assert facts_of(model).signatures == {
        "serving_default": "x float [?, ?], s string [?] -> y float [?, ?], same string [?]"
    }


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            {"inputs": {"x": [[4]], "s": ["a"]}},
            {"outputs": {"y": [[4.0]], "same": ["a"]}},
        ),
        (
            {
                "inputs": [
                    {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [4]},
                    {"name": "s", "shape": [1], "datatype": "BYTES", "data": ["a"]},
                ]
            },
            {
                "outputs": [
                    {"name": "same", "shape": [1], "datatype": "BYTES", "data": ["a"]},
                    {"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [4.0]},
                ]
            },
        ),
    ],
)
def test_requests_of_either_protocol_may_be_given(
    tmp_path: Path, given: object, answer: object
) -> None:
    file = write_half_plus_two(tmp_path / "any.onnx")
    requests = tmp_path / "mine.jsonl"
    requests.write_text(json.dumps({"request": given, "response": answer}) + "\n")
    model = add(tmp_path, file, requests=requests, dims={})
    golden = load_golden(model.golden)
    assert golden.responses == (answer,)
    requests.write_text(json.dumps({"request": given, "response": {"outputs": []}}) + "\n")
    with pytest.raises(InputError, match="request 0 is answered with"):
        add(tmp_path, file, requests=requests, dims={}, name="other")


def test_what_is_no_model_for_the_server_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415 by skip

    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x07damaged")
    with pytest.raises(InputError, match="is not an ONNX model"):
        add(tmp_path, damaged)
    sequence = write(
        tmp_path / "sequence.onnx",
        [helper.make_node("SequenceConstruct", ["x"], ["q"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_sequence_value_info("q", TensorProto.FLOAT, None)],
    )
    with pytest.raises(InputError, match="'q' is not a tensor") as caught:
        add(tmp_path, sequence)
    assert "zipmap=False" in caught.value.mend
    torch = tmp_path / "model.pt"
    torch.write_bytes(b"PK")
    with pytest.raises(InputError) as caught:
        add(tmp_path, torch)
    assert "torch.onnx.export" in caught.value.mend
    with pytest.raises(InputError, match="cannot be read"):
        add(tmp_path, tmp_path / "missing.onnx")
    assert not (tmp_path / "models").exists()


def test_weights_beside_the_file_are_taken_along_unless_they_are_elsewhere(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415 by skip
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 by skip

    def saved(location: str) -> Path:
        weight = numpy_helper.from_array(np.full(64, 3, np.float32), "w")
        file = write(
            tmp_path / "given" / "m.onnx",
            [helper.make_node("Mul", ["x", "w"], ["y"])],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
            [weight],
        )
        model = onnx.load(file)
        onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=0)
        if location != "weights":
            model = onnx.load(file, load_external_data=False)
            for entry in model.graph.initializer[0].external_data:
                if entry.key == "location":
                    entry.value = location
            file.write_bytes(model.SerializeToString())
        return file

    file = saved("weights")
    assert read_onnx(file).beside == (Path("weights"),)
    model = add(tmp_path, file, dims={})
    assert (model.versions / "1" / "weights").read_bytes()
    with pytest.raises(InputError, match="outside its directory"):
        read_onnx(saved("../secret"))
