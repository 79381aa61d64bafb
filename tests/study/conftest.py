import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.study.postgresql import Server, running


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, where a test writes and runs its studies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def _started() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def server(_started: Server) -> Server:
    """A PostgreSQL server, which a test may stop if it starts it again.

    Its database is the test's own: a test that is tried again finds nothing of the first time.
    """
    name = f"of_{uuid.uuid4().hex}"
    _started.create_database(name)
    return replace(_started, database=name)
