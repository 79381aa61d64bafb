"""The first answers of a new model: who gives them, and what a refusal means."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import InputError, SetupError
from tuner.serving import first_run_process
from tuner.serving.built_model import highest_version, require_built
from tuner.serving.server.signatures import tensorflow_directory
from tuner.spec.memory_choices import ReplicaNeed
from tuner.spec.study import ModelSpec


@dataclass(frozen=True)
class FirstAnswers:
    """The answers in order, and what the replica that gave them needed; None where none ran."""

    bodies: Sequence[bytes]
    need: ReplicaNeed | None = None


FirstRun = Callable[[ModelSpec, Sequence[bytes]], FirstAnswers]
"""The answers to bodies of `:predict`.

TensorFlow's C++ loader gives them in a process of its own, because whatever serves a model must be
able to run it. Raises InputError, in the loader's words, for a model that it refuses or cannot run.
"""

_MENDS = (
    (
        r"Could not find variable|Error while reading resource variable",
        (
            "its variables are not where the loader looks: export it with Keras' own exporter,"
            " model.export(directory) or keras.export.ExportArchive, not with"
            " tf.saved_model.save of a module around a Keras model"
        ),
    ),
    (
        r"Op type not registered|NodeDef mentions attr",
        (
            "it needs operations that are not TensorFlow's own, or a newer version's: export it"
            " without them, or with the version that serves it"
        ),
    ),
    (
        r"uninitialized value",
        "the directory `variables` is missing: give the whole SavedModel, as it was exported",
    ),
)
_NOT_LOADED = "files are missing or damaged: export the model again and give the whole directory"
_NOT_RUN = "if the made inputs do not suit the model, give real ones: --requests FILE"


LOADER = "TensorFlow's C++ loader"


def refused(words: str, request: int | None = None, loader: str = LOADER) -> InputError:
    """The error for a model that cannot be served, with the loader's `words` for the reason.

    `loader` is who refuses it. `request` is the number of the request that failed, None where the
    model was not loaded.
    """
    words = " ".join(words.split())
    failure, other = "does not load it", _NOT_LOADED
    if request is not None:
        failure, other = f"does not run it (request {request})", _NOT_RUN
    mend = next((mend for pattern, mend in _MENDS if re.search(pattern, words)), other)
    return InputError(f"{loader} {failure}: {words}", mend)


def loader_answers(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    """A `FirstRun` by the libraries of the installed TensorFlow wheel.

    Raises SetupError where TensorFlow is not installed.
    """
    require_built(model)
    try:
        tensorflow_directory()
    except ModuleNotFoundError as error:
        raise SetupError(str(error), "pip install 'tune-serving[models]'") from error
    version = highest_version(model)
    assert version is not None
    return FirstAnswers(_in_a_process(version, bodies))


def _in_a_process(saved_model: Path, bodies: Sequence[bytes]) -> Sequence[bytes]:
    command = [sys.executable, "-m", first_run_process.__name__, str(saved_model)]
    # A body of several lines is still one line as JSON.
    lines = b"".join(json.dumps(json.loads(body)).encode() + b"\n" for body in bodies)
    done = subprocess.run(command, input=lines, capture_output=True, check=False)
    *answers, last = done.stdout.splitlines() or [b""]
    try:
        verdict = json.loads(last)
    except ValueError:
        verdict = None
    if not isinstance(verdict, dict) or first_run_process.VERDICT not in verdict:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise refused(f"it ended with exit code {done.returncode}. {' '.join(tail)}")
    if verdict[first_run_process.VERDICT] is not None:
        raise refused(verdict[first_run_process.VERDICT], verdict["request"])
    return answers
