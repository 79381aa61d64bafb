"""Brings an exported file up with the tool of its users: compose, or the shell."""

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
"""The commands that may be compose, the plugin first."""

LABEL_VARIABLE = "TUNE_LABEL"
"""A docker-run script adds the label in this variable to everything that it makes."""

_TAKEN = r"port is already allocated|address already in use"
_TOO_LITTLE = r"minimum memory limit|memory limit too low"
_LINES = 8
_PATIENCE = 600.0


def bring_up(file: ExportedFile) -> BringUp:
    """The function that brings `file` up. Raises SetupError where the tool for it is missing."""
    if file.kind == "compose":
        compose = compose_command()
        return lambda project: _compose(compose, file.path, project)
    if file.kind == "stack":
        if shutil.which("docker") is None:
            raise SetupError(
                "a stack is deployed by `docker stack deploy`, and there is no `docker` here",
                "install Docker's command line (Debian: apt install docker-cli)",
            )
        return lambda project: _stack(file.path, project)
    return lambda project: _script(file.path, project)


def compose_command() -> tuple[str, ...]:
    """The first of `COMPOSE` that works here. Raises SetupError where none does."""
    for command in COMPOSE:
        if shutil.which(command[0]) is None:
            continue
        tried = subprocess.run([*command, "version"], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    raise SetupError(
        "there is no compose tool: neither `docker compose` nor `docker-compose` works",
        "install one (Debian: apt install docker-compose), or verify a docker-run script",
    )


def _compose(compose: Sequence[str], path: Path, project: str) -> None:
    _run([*compose, "-f", str(path), "-p", project, "up", "-d"], path, {})


def _stack(path: Path, project: str) -> None:
    command = ["docker", "stack", "deploy", "--resolve-image", "never", "-c", str(path), project]
    _run(command, path, {})


def _script(path: Path, project: str) -> None:
    # By `sh`, because the file need not be executable.
    _run(["sh", str(path)], path, {LABEL_VARIABLE: f"{PROJECT_LABEL}={project}"})


def _run(command: Sequence[str], path: Path, variables: dict[str, str]) -> None:
    """Run `command` in a session of its own, so that an interrupt does not stop it halfway."""
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
            f"{path} was not up within {_PATIENCE:g} s", "bring it up by hand to see why"
        ) from error
    if done.returncode == 0:
        return
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    output = "\n".join(lines[-_LINES:])
    if re.search(_TOO_LITTLE, output, re.IGNORECASE):
        raise Infeasible("out of memory", f"{path} cannot be brought up: {output}")
    if re.search(_TAKEN, output, re.IGNORECASE):
        raise SetupError(
            f"{path} cannot be brought up, because a port that it publishes is in use: {output}",
            "take down what uses the port (perhaps this file), or export with another --port",
        )
    raise SetupError(f"{path} cannot be brought up: {output}", "read what the tool says above")
