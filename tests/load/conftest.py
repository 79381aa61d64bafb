"""Servers in threads, stopped at the end of the test."""

from collections.abc import Iterator

import pytest

from tests.load.loopback import Start, started_servers


@pytest.fixture
def start() -> Iterator[Start]:
    with started_servers() as begin:
        yield begin
