"""Servers in threads, stopped at the end of the test."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.load.loopback import Running, Server, Start


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Running] = []

    def begin(**behaviour: object) -> Running:
        running.append(Running(Server(**behaviour)))  # type: ignore[arg-type]
        return running[-1]

    yield begin
    while running:
        running.pop().stop()
    # A connection that was being accepted while its server's loop ended is nobody's to close.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()
