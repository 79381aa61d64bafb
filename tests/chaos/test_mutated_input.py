"""Ten thousand bad input files and more: each is accepted, or refused with its place and a mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.chaos.rows import Row
from tests.fuzz.fuzzing import Target, fuzz
from tests.fuzz.targets import targets_in

pytestmark = pytest.mark.chaos

INPUTS = {
    "YAML files": 5000,
    "study documents": 1500,
    "study archives": 500,
    "model directories": 1000,
    "recorded grids": 500,
    "golden requests": 2000,
    "databases": 250,
}
assert sum(INPUTS.values()) > 10_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Target]:
    return targets_in(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", INPUTS)
def test_many_bad_inputs_are_accepted_or_refused_with_their_place(
    made: Mapping[str, Target],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_row: Callable[[Row], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = fuzz(name, made[name], 1, INPUTS[name])
    print(counts)  # noqa: T201 -- shown by `pytest -s`
    seen = f"{counts.refused} refused with place and mend, {counts.accepted} accepted"
    left = "nothing" if not counts.findings else f"{counts.findings.total()} findings"
    slowest = f"slowest {counts.slowest_seconds:.1f} s, most memory {counts.most_mib:.0f} MiB"
    report_row(Row(f"bad input: {name}", counts.total, seen, slowest, left))
    assert not counts.findings, counts.found()
