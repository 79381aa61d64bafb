"""What every test may ask for: a Docker Engine, a compose tool.

Where one cannot be had, a test that needs it is skipped with the reason; with `CI` set it fails.
"""

from __future__ import annotations

import gc
import os
import subprocess
import warnings
from collections.abc import Iterator
from functools import cache
from typing import NoReturn

import pytest
from docker import DockerClient

from tuner.deploy.engine import connect
from tuner.errors import SetupError

COMPOSE = (
    ("docker", "compose"),
    ("docker-compose",),
    ("/usr/libexec/docker/cli-plugins/docker-compose",),
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of a test marked `docker`, so that none fails for want of an engine."""
    if item.get_closest_marker("docker") and (reason := _why_no_engine()):
        _unavailable(reason)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client of the Docker Engine; for tests marked `docker`."""
    with connect() as client:
        yield client


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The compose command, such as `["docker", "compose"]`."""
    for command in COMPOSE:
        if _answers(command):
            return list(command)
    return _unavailable("no compose tool: `scripts/setup --tests` installs one")


@cache
def _why_no_engine() -> str:
    # Docker's client leaves the socket that got no answer to the garbage collector.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        try:
            with connect():
                return ""
        except SetupError as error:
            reason = error.message
        gc.collect()
    return reason


def _answers(command: tuple[str, ...]) -> bool:
    try:
        return (
            subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so nothing is skipped)", pytrace=False)
    pytest.skip(reason)
