from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, which holds studies, models and exported files."""
    monkeypatch.chdir(tmp_path)
