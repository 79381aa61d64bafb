"""The built model on the host: runs its builder, finds its version, computes its checksum.

TensorFlow runs only in the builder's process, never in this one.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tuner.errors import InputError, SetupError
from tuner.serving.servers.table import server_named
from tuner.serving.version_files import (
    directory_checksum,
    highest_version_in,
    not_built,
    served_version,
)
from tuner.spec.load import builder_of
from tuner.spec.study import ModelSpec

BUILDER_BAD_INPUT = 2
"""The exit code of a builder for a wrong argument or data file. For other failures it is 1."""


def build_model(model: ModelSpec, arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Run the model's builder into `model.built`; `say` gets each line that it prints.

    `arguments` go to the builder unchanged (`--data FILE`, `--epochs N`, ...). An interrupt goes to
    the builder too, which keeps what was built before. Raises InputError where the builder refuses
    its arguments, SetupError where it is missing, lacks TensorFlow or fails.
    """
    builder = builder_of(model)
    _run(f"building model {model.name!r}", builder, ["--output", str(model.built), *arguments], say)
    require_built(model)


def convert_model(
    model: ModelSpec,
    graph: Path,
    output: Path,
    arguments: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Run the model's `convert.py`, which translates a released `graph` into `output`.

    As `build_model` otherwise. Raises InputError for a model without a converter, a missing graph,
    and a graph that the converter refuses.
    """
    converter = model.directory / "convert.py"
    if not converter.is_file():
        raise InputError(
            f"model {model.name!r} has no converter: {converter} is missing",
            "to add a SavedModel, which needs no conversion: `tune models add PATH --name NAME`",
        )
    if not graph.is_file():
        raise InputError(f"{graph} is not a file", "give the file of the released graph to convert")
    arguments = [str(graph), "--output", str(output), *arguments]
    _run(f"converting for model {model.name!r}", converter, arguments, say)


def _run(task: str, script: Path, arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Run a model's script, which needs TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        raise SetupError(
            f"{task} needs TensorFlow, which is not installed",
            "pip install 'tune-serving[models]'",
        )
    exit_code, last_line = _relay([sys.executable, str(script), *arguments], say)
    if exit_code != 0:
        error = InputError if exit_code == BUILDER_BAD_INPUT else SetupError
        raise error(
            f"{task} failed with exit code {exit_code}: {last_line}",
            f"read the output of {script} above",
        )


def is_built(model: ModelSpec) -> bool:
    """Whether there is a version to serve and golden requests to check it with."""
    return _missing(model) is None


def require_built(model: ModelSpec) -> None:
    """Raise SetupError unless `is_built(model)`."""
    missing = _missing(model)
    if missing is not None:
        raise not_built(model, missing)


def _missing(model: ModelSpec) -> Path | None:
    """A file that its server needs and that is not there."""
    file = server_named(model.server).model_file
    if file is None:
        return None
    if highest_version_in(model.versions, file) is None:
        return model.versions / "1" / file
    return None if model.golden.is_file() else model.golden


def highest_version(model: ModelSpec) -> Path | None:
    """The version that its server serves; None without any."""
    file = server_named(model.server).model_file
    return None if file is None else highest_version_in(model.versions, file)


def model_version(model: ModelSpec) -> str | None:
    """The number of the version that its server serves; None without any."""
    version = highest_version(model)
    return None if version is None else version.name


def model_checksum(model: ModelSpec) -> str | None:
    """Hexadecimal SHA-256 of the version that is served; None where the image has the model inside.

    Raises SetupError where there is none.
    """
    file = server_named(model.server).model_file
    return None if file is None else directory_checksum(served_version(model, file))


def _relay(command: Sequence[str], say: Callable[[str], None]) -> tuple[int, str]:
    """Run `command`, pass each line of its output to `say`, return its exit code and last line.

    It runs in a session of its own, so that an interrupt reaches it once, from here. This process
    waits while it cleans up.
    """
    last_line = ""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last_line = line.rstrip() or last_line
                say(line.rstrip())
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return process.returncode, last_line
