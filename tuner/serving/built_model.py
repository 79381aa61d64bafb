"""The built model on the host: runs its builder, finds its version, computes its checksum.

TensorFlow runs only in the builder's process, never in this one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tuner.errors import InputError, SetupError
from tuner.spec.load import builder_of
from tuner.spec.model_versions import version_number
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
    return highest_version(model) is not None and model.golden.is_file()


def require_built(model: ModelSpec) -> None:
    """Raise SetupError unless `is_built(model)`."""
    if is_built(model):
        return
    missing = model.golden if highest_version(model) else model.versions / "1" / "saved_model.pb"
    raise SetupError(
        f"model {model.name!r} is not built: {missing} is missing",
        f"tune models build {model.name}",
    )


def model_checksum(model: ModelSpec) -> str:
    """Hexadecimal SHA-256 of the version that is served. Raises SetupError where there is none."""
    version = highest_version(model)
    if version is None:
        require_built(model)
    assert version is not None
    return directory_checksum(version)


def directory_checksum(directory: Path) -> str:
    """Hexadecimal SHA-256 over every file's path within `directory` and its content.

    Paths are sorted, and neither the location nor time stamps matter.
    """
    digest = hashlib.sha256()
    files = {p.relative_to(directory).as_posix(): p for p in directory.rglob("*") if p.is_file()}
    for name in sorted(files):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def highest_version(model: ModelSpec) -> Path | None:
    """The version that TensorFlow Serving serves: the highest number. None without any."""
    return highest_version_in(model.versions)


def highest_version_in(versions: Path) -> Path | None:
    """The same for any directory of numbered versions."""
    numbered = {
        number: path.parent
        for path in versions.glob("*/saved_model.pb")
        if (number := version_number(path.parent.name)) is not None and path.is_file()
    }
    return numbered[max(numbered)] if numbered else None


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
