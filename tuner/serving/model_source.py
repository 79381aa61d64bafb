"""The model that a user means by a path: a SavedModel or an ONNX file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.errors import InputError
from tuner.serving import onnx_file
from tuner.serving.saved_model import read_signatures
from tuner.serving.saved_model_source import SavedModelSource, find_saved_model
from tuner.serving.server import codec
from tuner.serving.server.codec import DEFAULT_SIGNATURE
from tuner.serving.server.signatures import Signature
from tuner.serving.servers import mlserver
from tuner.serving.servers.open_inference import body_of, in_form_of, is_infer
from tuner.spec import study_files

Json = Any


@dataclass(frozen=True)
class ModelSource:
    """What is added, and for which server.

    `copy` writes its files into the directory of a version. `request` makes of a body of
    `:predict` one of the server, and `answer` of an answer the golden one, in the form of an
    expected one where that is not None.
    """

    title: str
    path: Path
    version: int
    server: str
    signatures: Mapping[str, Signature]
    copy: Callable[[Path], None]
    request: Callable[[Json], Json] = lambda body: body
    answer: Callable[[Json, Json], Json] = lambda answer, _: answer
    warning: str = ""
    """What its user must know before it runs."""


def server_of(path: Path) -> str:
    """The server that a model at this path is added for."""
    return {".onnx": "onnxruntime", ".joblib": "mlserver"}.get(path.suffix, "tensorflow-serving")


def find_model(path: Path) -> ModelSource:
    """Raises InputError where there is none, with the command that converts it if there is one."""
    if server_of(path) == "onnxruntime":
        return _onnx(path)
    if server_of(path) == "mlserver":
        return _joblib(path)
    source = find_saved_model(path)
    return ModelSource(
        "SavedModel",
        source.directory,
        source.version,
        "tensorflow-serving",
        read_signatures(source.directory),
        lambda directory: _copy_saved_model(source, directory),
    )


def _onnx(path: Path) -> ModelSource:
    model = onnx_file.read_onnx(path)
    signatures = {DEFAULT_SIGNATURE: model.signature}

    def copy(directory: Path) -> None:
        directory.mkdir(parents=True)
        try:
            shutil.copyfile(path, directory / onnx_file.FILE)
            home = study_files.real(path.parent)
            for name in model.beside:
                if not study_files.real(path.parent / name).is_relative_to(home):
                    raise InputError(
                        f"{path} has weights in {name}, a link that leads out of its directory",
                        "give a copy without links: cp -L",
                    )
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path.parent / name, directory / name)
        except OSError as error:
            raise InputError(
                f"{path} cannot be copied: {error}", "its weights must be in files beside it"
            ) from error

    def request(body: Json) -> Json:
        return body if is_infer(body) else body_of(codec.decode(body, signatures).inputs)

    return ModelSource("ONNX model", path, 1, "onnxruntime", signatures, copy, request, in_form_of)


def _joblib(path: Path) -> ModelSource:
    """It is only copied: what it takes is known to nobody who does not unpickle it."""
    if not path.is_file():
        raise InputError(f"{path} cannot be read", "give the file that joblib.dump wrote")

    def copy(directory: Path) -> None:
        directory.mkdir(parents=True)
        shutil.copyfile(path, directory / mlserver.FILE)

    return ModelSource(
        "scikit-learn model",
        path,
        1,
        "mlserver",
        {},
        copy,
        answer=in_form_of,
        warning="MLServer unpickles it in its container, which lets the file run any code there:"
        " add files of people whom you trust. Nothing else here unpickles it",
    )


def _copy_saved_model(source: SavedModelSource, directory: Path) -> None:
    if (strange := _strange(source.directory)) is not None:
        raise InputError(
            f"{source.directory} cannot be copied: {strange} is no file of its own",
            "look where its links lead, then give a copy without them: cp -rL",
        )
    try:
        shutil.copytree(source.directory, directory)
    except (OSError, shutil.Error) as error:
        raise InputError(f"{source.directory} cannot be copied: {error}") from error


def _strange(directory: Path) -> Path | None:
    """The first part that is neither a file nor a directory inside, such as a link that leads out
    of it, to which a copy would give everyone access.
    """
    home = study_files.real(directory)
    for path in sorted(directory.rglob("*")):
        target = study_files.real(path) if path.is_symlink() else path
        inside = target.is_file() and (target is path or target.is_relative_to(home))
        if not inside and (path.is_symlink() or not path.is_dir()):
            return path
    return None
