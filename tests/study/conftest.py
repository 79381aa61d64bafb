from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study.postgresql import Server, running


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, where a test writes and runs its studies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL server, which a test may stop if it starts it again."""
    with running() as started:
        yield started
