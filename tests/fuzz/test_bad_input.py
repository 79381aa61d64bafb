"""Bad input files are accepted or refused with their place and a mend: a bounded part, the same
inputs each time. `make chaos` reads many more (`tests/chaos/test_mutated_input.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fuzz.fuzzing import Target, fuzz
from tests.fuzz.targets import targets_in

INPUTS = {
    "YAML files": 150,
    "study documents": 60,
    "study archives": 25,
    "model directories": 60,
    "recorded grids": 40,
    "golden requests": 200,
    "databases": 12,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Target]:
    return targets_in(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", INPUTS)
def test_bad_input_is_accepted_or_refused_with_its_place(
    made: Mapping[str, Target], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = fuzz(name, made[name], 0, INPUTS[name])
    print(counts)  # noqa: T201 -- shown by `pytest -s`
    assert not counts.findings, counts.found()
    assert counts.total == INPUTS[name]
    assert counts.refused
