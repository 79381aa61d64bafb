"""What every test may ask for: a Docker Engine, a compose tool, a browser.

Where one cannot be had, a test that needs it is skipped with the reason; with `CI` set it fails.
"""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from collections.abc import Iterator
from functools import cache
from typing import NoReturn

import pytest
from docker import DockerClient
from playwright.sync_api import Browser, sync_playwright

from tuner.deploy.docker_engine import connect
from tuner.errors import SetupError
from tuner.verify.bring_up import compose_command

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


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
    try:
        return list(compose_command())
    except SetupError as error:
        _unavailable(f"{error.message}: `scripts/setup --tests` installs one")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    return found or _unavailable(f"no browser: none of {', '.join(CHROMIUM)} is on the PATH")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """The system's Chromium without a window, for what is looked at.

    Not for the whole session: while Playwright is there, `asyncio.run` refuses to run.
    """
    with sync_playwright() as playwright:
        # Without its sandbox: as root there is none, and it opens the tests' own pages only.
        started = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        with started:
            yield started


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


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so nothing is skipped)", pytrace=False)
    pytest.skip(reason)
