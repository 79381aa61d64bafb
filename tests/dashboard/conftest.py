from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.shown import Shown, look


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, where a test writes and runs its studies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """24 trials of the small study, infeasible ones among them; its replicas write `LOG`.

    For tests that change nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("shown"))
        return look(24)
