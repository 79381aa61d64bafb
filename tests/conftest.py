"""What every test may ask for (an engine, a compose tool, kubectl, a browser), and how tests run.

Where one cannot be had, a test that needs it is skipped with the reason; with `CI` set it fails.

With `-n auto --dist loadfile` (as `make test` does) a test file is run by one process, so that what
its tests share is made once. All files that need the engine are run by one process, because their
tests count containers; mostly they wait, so the others go on meanwhile. A test marked `alone` is
run while no other process runs one.

A test marked `thorough` takes minutes to show what a shorter one shows on less; `--thorough` runs
these alone.
"""

from __future__ import annotations

import os

# One thread for linear algebra, before NumPy is loaded: more of them wait for one another in turns
# where a test has no processor for itself, and the matrices are small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gc
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
from alembic.util import pyfiles
from docker import DockerClient
from playwright.sync_api import Browser, expect, sync_playwright
from sqlalchemy import event
from sqlalchemy.engine import Engine
from xdist.scheduler import LoadFileScheduling

from tests.turns import Turns
from tuner.deploy.docker_engine import connect
from tuner.errors import SetupError
from tuner.verify.bring_up import compose_command

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# No example has a deadline: on a busy machine it fails what is right. In CI the examples are always
# the same, so that a change is not blamed for what was there before it.
hypothesis.settings.register_profile("tune", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "tune")


# A storage looks through Optuna's migrations when it is opened. They do not change meanwhile.
pyfiles.load_module_py = cache(pyfiles.load_module_py)  # type: ignore[assignment] # called alike


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are CPUs: one process has the engine and mostly waits for containers, and
    many tests of the others wait for a server or a load engine.
    """
    return min(os.cpu_count() or 1, 4) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:  # noqa: ANN401 -- xdist's own
    return _OneForTheEngine(config, log) if config.getoption("dist") == "loadfile" else None


class _OneForTheEngine(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """As xdist's: a file at a time for each process. Those that need the engine count as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "engine" if _needs_engine(self.config.rootpath / file) else file


@cache
def _needs_engine(file: Path) -> bool:
    return "mark.docker" in file.read_text(encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="only the tests marked `thorough`")


def pytest_configure() -> None:
    event.listen(Engine, "connect", _forget_at_power_loss)


def pytest_unconfigure() -> None:
    event.remove(Engine, "connect", _forget_at_power_loss)


def _forget_at_power_loss(connection: object, _: object) -> None:
    """A test's database need not survive the machine. Waiting for the disk took most of the time.

    Only of this process: runs that tests start, to kill them, have their databases as users have.
    """
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first, and the rest fills the gaps."""
    wanted = config.getoption("--thorough")
    left_out = [item for item in items if bool(item.get_closest_marker("thorough")) is not wanted]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    if _turns is not None:
        items.sort(key=lambda item: (not _needs_engine(item.path), item.path not in slow))


_turns = (
    Turns(Path(__file__), Path(__file__).parent) if "PYTEST_XDIST_WORKER" in os.environ else None
)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """A row of tests that are to be alone keeps the turn."""
    if _turns is None:
        return (yield)
    alone = _is_alone(item)
    _turns.take(alone=alone)
    try:
        return (yield)
    finally:
        if not (alone and nextitem is not None and _is_alone(nextitem)):
            _turns.give_back()


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


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
def kubectl() -> str:
    """The path of kubectl, which has kustomize; no test asks a cluster."""
    # The lock's first: another one on the PATH may be of any age.
    own = Path(sys.executable).with_name("kubectl")
    found = str(own) if own.exists() else shutil.which("kubectl")
    return found or _unavailable("no kubectl: requirements.txt has one for Linux on x86-64")


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
    expect.set_options(timeout=40_000)  # ms; five seconds are not enough on a busy machine
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
