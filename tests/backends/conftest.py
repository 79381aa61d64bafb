from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, where a test writes and runs its studies."""
    monkeypatch.chdir(tmp_path)
