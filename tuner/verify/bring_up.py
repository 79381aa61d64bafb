"""Bring an exported file up with the tool that its user has: compose, or the shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tuner.deploy.adopted import BringUp
from tuner.deploy.projects import PROJECT_LABEL
from tuner.errors import Infeasible, SetupError
from tuner.verify.exported_file import ExportedFile

COMPOSE = (
    ("docker", "compose"),
    ("docker-compose",),
    ("/usr/libexec/docker/cli-plugins/docker-compose",),
)
"""Where the tool may be, the plugin first."""

LABEL_VARIABLE = "TUNE_LABEL"
"""A docker-run script gives everything that it makes the label in this variable too."""

_TAKEN = r"port is already allocated|address already in use"
_TOO_LITTLE = r"minimum memory limit|memory limit too low"
_LINES = 8
_PATIENCE = 600.0


def bring_up(file: ExportedFile) -> BringUp:
    """How `file` is brought up; raises SetupError where the tool for that is missing."""
    if file.kind == "compose":
        compose = compose_command()
        return lambda project: _compose(compose, file.path, project)
    return lambda project: _script(file.path, project)


def compose_command() -> tuple[str, ...]:
    """The first of `COMPOSE` that works here. Raises SetupError where none does."""
    for command in COMPOSE:
        if shutil.which(command[0]) is None:
            continue
        found = subprocess.run([*command, "version"], capture_output=True, check=False)
        if found.returncode == 0:
            return command
    raise SetupError(
        "there is no compose tool: neither `docker compose` nor `docker-compose` works",
        "install one (Debian: apt install docker-compose), or verify the docker-run format",
    )


def _compose(compose: Sequence[str], path: Path, project: str) -> None:
    _run([*compose, "-f", str(path), "-p", project, "up", "-d"], path, {})


def _script(path: Path, project: str) -> None:
    # Not its first line's interpreter: the file need not be executable.
    _run(["sh", str(path)], path, {LABEL_VARIABLE: f"{PROJECT_LABEL}={project}"})


def _run(command: Sequence[str], path: Path, variables: dict[str, str]) -> None:
    """Run it to its end, in a session of its own: an interrupt must not leave it halfway."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **variables},
            start_new_session=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"{path} was not brought up within {_PATIENCE:g} s", "bring it up by hand to see why"
        ) from error
    if done.returncode == 0:
        return
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    said = "\n".join(lines[-_LINES:])
    if re.search(_TOO_LITTLE, said, re.IGNORECASE):
        raise Infeasible("out of memory", f"{path} cannot be brought up: {said}")
    if re.search(_TAKEN, said, re.IGNORECASE):
        raise SetupError(
            f"{path} cannot be brought up, since a port that it publishes is taken: {said}",
            "take down what has it (this file, if it is up), or export with another --port",
        )
    raise SetupError(f"{path} cannot be brought up: {said}", "see what the tool says above")
