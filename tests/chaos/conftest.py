"""The chaos suite: faults are injected while `tune` works, and nothing may be lost or left.

A test without the mark `chaos` is bounded, and part of every run. Those with the mark are run by
`make chaos` (`--chaos`). Both report rows, of which one table is printed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from docker import DockerClient

from tests.chaos.private_engine import PrivateEngine, why_no_private_engine
from tests.chaos.rows import Row, as_markdown, as_table
from tuner.serving.base import base_tag
from tuner.serving.image import build_image

_ROW = "chaos row"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos", action="store_true", help="also the tests with the mark `chaos`")
    group.addoption("--chaos-markdown", type=Path, help="write the table of faults to this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--chaos", default=False):
        return
    long = [item for item in items if item.get_closest_marker("chaos")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture
def report_row(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Reports what came of a fault; called before the test judges it, so that it is in the table
    also where that fails.
    """

    def report(row: Row) -> None:
        # Unlike anything else it reaches the main process where tests run in several.
        request.node.user_properties.append((_ROW, asdict(row)))

    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = [
        Row(**value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == _ROW and report.when == "call"
    ]
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write(as_table(rows, terminalreporter._tw.fullwidth))  # noqa: SLF001
    path = config.getoption("--chaos-markdown", default=None)
    if path is not None:
        path.write_text(as_markdown(rows), encoding="utf-8")


@pytest.fixture(scope="session")
def tune_images(engine: DockerClient) -> list[str]:
    """tune's images, which a private engine needs too: the base, and the one that serves."""
    return [base_tag(), build_image(engine, print)]


@pytest.fixture(scope="session")
def private_engine(
    engine: DockerClient, tune_images: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateEngine]:
    """An engine that a test may stop, kill and freeze. It has tune's images."""
    if reason := why_no_private_engine():
        pytest.skip(reason)
    with PrivateEngine(tmp_path_factory.mktemp("engine")).running() as private:
        private.load(engine, tune_images)
        yield private
