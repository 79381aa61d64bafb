"""The mnist builder: its pure parts, and one real build."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tuner.errors import InputError
from tuner.serving.built_model import build_model, model_checksum
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.spec.study import ModelSpec

DIRECTORY = Path(__file__).parents[2] / "models" / "mnist"
Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mnist_builder", DIRECTORY / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def mnist_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (6, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 6, np.uint8),
        "x_test": rng.integers(0, 256, (3, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 3, np.uint8),
    }


def write(path: Path, arrays: Arrays) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def test_mnist_is_read_as_the_model_takes_it(builder: ModuleType, tmp_path: Path) -> None:
    arrays = mnist_arrays()
    arrays["x_test"][0, 0, :2] = 0, 255
    digits = builder.read_mnist(write(tmp_path / "mnist.npz", arrays))
    assert digits.x_train.shape == (6, 28, 28, 1)
    assert digits.x_train.dtype == np.float32
    assert digits.x_test[0, 0, :2, 0].tolist() == [0.0, 1.0]
    assert np.allclose(digits.x_train[..., 0] * 255, arrays["x_train"], atol=0.2)
    assert digits.y_test.tolist() == arrays["y_test"].tolist()
    assert "mnist.npz" in digits.source


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": None, "y_test": None}, "x_test, y_test is missing"),
        ({"x_train": np.zeros((6, 8, 8), np.uint8)}, "x_train: expected integers of shape"),
        ({"x_train": np.zeros((6, 28, 28))}, "x_train: expected integers.*found float64"),
        ({"x_test": np.zeros((0, 28, 28), np.uint8)}, "x_test: expected integers of shape"),
        ({"x_test": np.full((3, 28, 28), 256)}, "x_test: expected values 0 to 255"),
        ({"y_train": np.full(6, 10)}, "y_train: expected values 0 to 9, found 10 to 10"),
        ({"y_train": np.array(1)}, r"y_train: expected integers of shape \(n,\)"),
        ({"y_test": np.zeros(2, np.uint8)}, "3 images in x_test, 2 labels in y_test"),
        ({"y_test": np.array([object()] * 3)}, "not an .npz file of plain arrays"),
    ],
)
def test_wrong_arrays_are_refused(
    builder: ModuleType, tmp_path: Path, changes: Arrays, words: str
) -> None:
    arrays = {k: v for k, v in (mnist_arrays() | changes).items() if v is not None}
    with pytest.raises(InputError, match=words):
        builder.read_mnist(write(tmp_path / "mnist.npz", arrays))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 no archive"])
def test_other_files_are_refused(builder: ModuleType, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not an \.npz file"):
        builder.read_mnist(path)


def test_a_lone_array_is_refused(builder: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "mnist.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        builder.read_mnist(tmp_path / "mnist.npy")


def test_a_missing_or_unreadable_file_is_refused(builder: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        builder.read_mnist(tmp_path / "mnist.npz")
    with pytest.raises(InputError, match="Is a directory"):
        builder.read_mnist(tmp_path)


def test_resizing_keeps_flat_images_and_orientation(builder: ModuleType) -> None:
    assert np.allclose(builder.resize(np.full((2, 8, 8), 0.5), 28), 0.5)
    image = np.zeros((1, 8, 8))
    image[0, 0, 7] = 1.0  # top right
    resized = builder.resize(image, 28)[0]
    assert resized.shape == (28, 28)
    assert resized[0, 27] == 1.0
    assert resized[14:].max() == resized[:, :14].max() == 0.0


def test_golden_lines_hold_one_instance_each(builder: ModuleType) -> None:
    images = np.full((40, 28, 28, 1), 0.123, np.float32)
    answers = np.full((40, 10), 0.1, np.float32)
    lines = builder.golden_lines(images, answers).splitlines()
    assert len(lines) == 32
    golden = json.loads(lines[0])
    assert np.shape(golden["request"]["instances"]) == (1, 28, 28, 1)
    assert golden["request"]["instances"][0][0][0] == [0.123]
    assert golden["response"] == {"predictions": [[0.1] * 10]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "one"], "expected a whole number"),
        (["--epochs", "-1"], "expected a whole number"),
    ],
)
def test_bad_arguments_exit_2(
    builder: ModuleType, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        builder.main(["--output", "built", *arguments])
    assert words in capsys.readouterr().err


def test_a_missing_file_exits_2_and_leaves_the_output(tmp_path: Path) -> None:
    output = tmp_path / "built"
    output.mkdir()
    (output / "card.json").write_text("{}")
    finished = run_builder(output, "--data", "absent.npz")
    assert finished.returncode == 2
    assert "absent.npz: No such file" in finished.stderr
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == [
        "built",
        "built/card.json",
    ]


def test_a_directory_that_no_builder_wrote_is_not_replaced(
    builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").touch()
    assert builder.main(["--output", str(tmp_path)]) == 2
    assert "is no built model" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def run_builder(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DIRECTORY / "build.py"), "--output", str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, list[str]]:
    """The model, built over an older one for half of the usual epochs, and what was said."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed (tune-serving[models])")
    model = ModelSpec("mnist", "", DIRECTORY, tmp_path_factory.mktemp("mnist") / "built")
    model.built.mkdir()
    (model.built / "card.json").write_text("older")
    said: list[str] = []
    build_model(model, ["--seed", "1", "--epochs", "8"], said.append)
    return model, said


@pytest.mark.slow
def test_the_card_tells_what_was_built(built: tuple[ModelSpec, list[str]]) -> None:
    model, said = built
    card = json.loads((model.built / "card.json").read_text())
    assert card["accuracy"] > 0.95
    assert any(f"held-out accuracy {card['accuracy']:.2%}" in line for line in said)
    assert card["saved_model_sha256"] == model_checksum(model)
    assert "scikit-learn" in card["data"]
    assert (card["seed"], card["epochs"]) == (1, 8)
    assert card["train_samples"] > card["test_samples"] >= 300
    assert [p.name for p in model.built.parent.iterdir()] == ["built"]  # nothing half done


@pytest.mark.slow
def test_golden_answers_are_reproduced_through_the_c_api(
    built: tuple[ModelSpec, list[str]],
) -> None:
    model, _ = built
    lines = [json.loads(line) for line in model.golden.read_text().splitlines()]
    assert len(lines) == 32
    with SavedModel(model.versions / "1") as saved_model:
        assert list(saved_model.signatures[model.signature].inputs) == ["image"]
        assert saved_model.signatures[model.signature].inputs["image"].shape == (-1, 28, 28, 1)
        images = np.concatenate([line["request"]["instances"] for line in lines])
        answers = saved_model.run(model.signature, {"image": images})["probabilities"]
    expected = np.concatenate([line["response"]["predictions"] for line in lines])
    assert np.allclose(answers, expected, rtol=0, atol=1e-5)
    assert np.allclose(expected.sum(axis=1), 1, atol=1e-5)
    # A constant model would pass the above.
    assert len(set(expected.argmax(axis=1))) >= 5
