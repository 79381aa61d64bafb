"""Finds the SavedModel that a user means, or the command that makes one."""

from __future__ import annotations

import json
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import InputError
from tuner.serving.saved_model import FILE
from tuner.serving.version_files import highest_version_in
from tuner.spec.model_versions import version_number


@dataclass(frozen=True)
class SavedModelSource:
    """A directory with a SavedModel, and the version number that it gets."""

    directory: Path
    version: int


def find_saved_model(path: Path) -> SavedModelSource:
    """The SavedModel at `path`, or the highest of the numbered versions in it.

    Raises InputError for anything else, with the command that converts it if there is one.
    """
    if (path / FILE).is_file():
        number = version_number(path.resolve().name)
        return SavedModelSource(path, 1 if number is None else number)
    if (highest := highest_version_in(path, FILE)) is not None:
        return SavedModelSource(highest, version_number(highest.name) or 0)
    raise _refusal(path)


def _refusal(path: Path) -> InputError:  # noqa: PLR0911 one for each kind of file
    quoted = shlex.quote(str(path))
    name = json.dumps(str(path), ensure_ascii=False)
    if not path.exists():
        return InputError(f"{path} does not exist", "give the directory of a SavedModel")
    if path.suffix in {".keras", ".h5", ".hdf5"} or _is_keras(path):
        load = f"keras.saving.load_model({name}, compile=False)"
        code = f'import keras; {load}.export("saved_model")'
        return InputError(
            f"{path} is a model in Keras' own format, which servers cannot read",
            f"convert it, then add saved_model: python -c {shlex.quote(code)}",
        )
    if path.suffix == ".tflite" or _begins(path, b"TFL3", 4):
        return InputError(
            f"{path} is a TensorFlow Lite model, which TensorFlow Serving runs differently",
            "add the SavedModel that it was made from; without that, convert by way of ONNX: "
            f"pip install tf2onnx onnx2tf && python -m tf2onnx.convert --tflite {quoted}"
            " --output model.onnx && onnx2tf -i model.onnx -o saved_model -osd",
        )
    if (path / "saved_model.pbtxt").is_file():
        code = (
            f"import pathlib; d = pathlib.Path({name});"
            " from google.protobuf.text_format import Parse;"
            " from tensorflow.core.protobuf.saved_model_pb2 import SavedModel;"
            ' text = (d / "saved_model.pbtxt").read_text();'
            ' (d / "saved_model.pb").write_bytes(Parse(text, SavedModel()).SerializeToString())'
        )
        return InputError(
            f"{path} has its SavedModel as text", f"convert it: python -c {shlex.quote(code)}"
        )
    if path.suffix in {".pt", ".pth"}:
        return InputError(
            f"{path} is a model of PyTorch, which is code and weights",
            "export it as ONNX where its class is at hand, then add the file:"
            ' torch.onnx.export(model, inputs, "model.onnx", dynamo=True)',
        )
    if path.suffix in {".pkl", ".pickle"}:
        return InputError(
            f"{path} is a pickle: who opens it runs what it says, so tune does not look inside",
            "if it is a scikit-learn model of people whom you trust, add it as .joblib, which"
            " MLServer opens in its container (it reads files of pickle.dump, too):"
            f" cp {quoted} {shlex.quote(str(path.with_suffix('.joblib')))}",
        )
    if path.suffix == ".skops":
        copy = json.dumps(str(path.with_suffix(".joblib")), ensure_ascii=False)
        code = f"import joblib, skops.io; joblib.dump(skops.io.load({name}), {copy})"
        return InputError(
            f"{path} is a model that skops wrote, which MLServer cannot read",
            "make a .joblib file of it, then add that (skops names the types that it does not"
            f" know): python -c {shlex.quote(code)}",
        )
    if path.suffix in {".pb", ".pbmm"}:
        return InputError(
            f"{path} is a graph without signatures",
            "give the directory of a SavedModel; a released graph of DeepSpeech is translated by"
            f" `tune models convert deepspeech {quoted} --output DIR`",
        )
    return InputError(
        f"{path} has no SavedModel: neither {FILE} nor versions with that file, whose names are"
        " numbers of at most 64 bits",
        "give the directory that tf.saved_model.save or Keras' model.export wrote",
    )


def _is_keras(path: Path) -> bool:
    """Whether `path` is a zip archive with the files of Keras' format, whatever its name."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"config.json", "metadata.json"} <= set(archive.namelist())


def _begins(path: Path, magic: bytes, at: int) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(at + len(magic))[at:] == magic
