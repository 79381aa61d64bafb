"""What `tune models add` is pointed at, and the command for what is no SavedModel."""

import zipfile
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.serving.saved_model_source import SavedModelSource, find_saved_model


def saved_model(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").touch()
    return directory


def test_a_saved_model_is_version_1_or_the_one_that_it_is_called(tmp_path: Path) -> None:
    plain = saved_model(tmp_path / "exported")
    assert find_saved_model(plain) == SavedModelSource(plain, 1)
    numbered = saved_model(tmp_path / "base" / "00000123")
    assert find_saved_model(numbered) == SavedModelSource(numbered, 123)


def test_of_numbered_versions_the_highest_is_taken(tmp_path: Path) -> None:
    for name in ("9", "10", "x11"):
        saved_model(tmp_path / name)
    (tmp_path / "12").mkdir()
    assert find_saved_model(tmp_path) == SavedModelSource(tmp_path / "10", 10)


def write(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    if name == "renamed.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("metadata.json", "{}")
    elif name == "text":
        path.mkdir()
        (path / "saved_model.pbtxt").touch()
    elif name == "empty":
        path.mkdir()
    elif name == "unnamed":
        path.write_bytes(b"\x1c\0\0\0TFL3")
    elif name != "missing":
        path.write_bytes(b"something")
    return path


@pytest.mark.parametrize(
    ("name", "message", "mend"),
    [
        ("m.keras", "Keras' own format", "keras.saving.load_model"),
        ("m.h5", "Keras' own format", '.export("saved_model")'),
        ("renamed.zip", "Keras' own format", "keras.saving.load_model"),
        ("m.pkl", "is a pickle", "cp "),
        ("m.pickle", "is a pickle", "m.joblib"),
        ("m.skops", "skops wrote", "skops.io.load("),
        ("m.tflite", "TensorFlow Lite", "python -m tf2onnx.convert --tflite"),
        ("unnamed", "TensorFlow Lite", "onnx2tf -i model.onnx -o saved_model -osd"),
        ("text", "as text", "SerializeToString"),
        ("graph.pb", "a graph without signatures", "tune models convert deepspeech"),
        ("graph.pbmm", "a graph without signatures", "tune models convert deepspeech"),
        ("empty", "has no SavedModel", "model.export"),
        ("weights.bin", "has no SavedModel", "model.export"),
        ("missing", "does not exist", "directory of a SavedModel"),
    ],
)
def test_what_is_no_saved_model_is_refused_with_the_way_to_one(
    tmp_path: Path, name: str, message: str, mend: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find_saved_model(write(tmp_path, name))
    assert mend in caught.value.mend
