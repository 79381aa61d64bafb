"""The C API on TensorFlow Serving's own test model, in this process."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tuner.serving.server.model import least_input, warm_signature
from tuner.serving.server.numbered import numbered_versions
from tuner.serving.server.signatures import Signature, TensorSpec, protobuf_module
from tuner.serving.server.status import Code, StatusError
from tuner.serving.server.tensorflow_c import SavedModel

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="TensorFlow is not installed (extra `models`)"
)


@pytest.fixture(scope="module")
def model() -> Iterator[SavedModel]:
    with SavedModel(HALF_PLUS_TWO / "00000123", intra_op_threads=1, inter_op_threads=-1) as loaded:
        yield loaded


def test_signatures_are_read(model: SavedModel) -> None:
    assert model.signatures["serving_default"] == Signature(
        "tensorflow/serving/predict",
        {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 1))},
        {"y": TensorSpec("y:0", "DT_FLOAT", (-1, 1))},
    )
    assert model.signatures["classify_x_to_y"].inputs["inputs"].dtype == "DT_STRING"
    assert warm_signature(model.signatures) == "serving_default"


def test_numbers_go_in_and_come_out(model: SavedModel) -> None:
    outputs = model.run("serving_default", {"x": np.array([[1], [2], [5]])})
    assert outputs["y"].dtype == np.float32
    assert outputs["y"].tolist() == [[2.5], [3.0], [4.5]]


def test_a_scalar_stays_one(model: SavedModel) -> None:
    for value in range(100):
        y = model.run("serving_default", {"x": np.array(value, np.float32)})["y"]
        assert y.shape == ()
        assert y == value / 2 + 2


def test_strings_go_in(model: SavedModel) -> None:
    example = protobuf_module("example.example").Example()
    example.features.feature["x"].float_list.value.append(4.0)
    examples = np.array([example.SerializeToString()] * 3, object)
    for _ in range(100):
        outputs = model.run("regress_x_to_y", {"inputs": examples})
        assert outputs["outputs"].tolist() == [[4.0]] * 3


def test_an_empty_batch_is_no_special_case(model: SavedModel) -> None:
    assert model.run("serving_default", {"x": np.empty((0, 1))})["y"].shape == (0, 1)


def test_tensorflows_own_error_comes_with_its_code(model: SavedModel) -> None:
    with pytest.raises(StatusError) as caught:
        model.run("classify_x_to_y", {"inputs": np.array([b"no example"], object)})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "example" in caught.value.message.lower()


@pytest.mark.parametrize(("signature", "name"), [("none", "x"), ("serving_default", "z")])
def test_a_wrong_name_is_an_invalid_argument(model: SavedModel, signature: str, name: str) -> None:
    with pytest.raises(StatusError) as caught:
        model.run(signature, {name: np.ones(1)})
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_directory_without_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as caught:
        SavedModel(tmp_path)
    assert caught.value.code is Code.NOT_FOUND


def test_a_closed_model_says_so() -> None:
    model = SavedModel(HALF_PLUS_TWO / "00000123")
    model.close()
    model.close()
    with pytest.raises(StatusError, match="closed"):
        model.run("serving_default", {"x": np.ones(1)})


def test_a_model_that_is_forgotten_is_freed() -> None:
    model = SavedModel(HALF_PLUS_TWO / "00000123")
    close = model.close
    assert close.alive
    del model
    assert not close.alive


def test_versions_are_directories_with_numbers(tmp_path: Path) -> None:
    for name in ("9", "010", "latest", "2"):
        (tmp_path / name).mkdir()
    (tmp_path / "99").touch()
    assert numbered_versions(tmp_path) == {
        9: tmp_path / "9",
        10: tmp_path / "010",
        2: tmp_path / "2",
    }
    with pytest.raises(StatusError) as caught:
        numbered_versions(tmp_path / "missing")
    assert caught.value.code is Code.NOT_FOUND


def test_warm_inputs_are_as_small_as_the_signature_allows() -> None:
    assert least_input(TensorSpec("x:0", "DT_UINT8", (-1, 28, 28, 1))).shape == (1, 28, 28, 1)
    assert least_input(TensorSpec("x:0", "DT_STRING", None)).tolist() == [b""]
    assert least_input(TensorSpec("x:0", "DT_INT64", ())).shape == ()
