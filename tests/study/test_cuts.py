"""A process may be killed after any commit and around any file: the next start loses nothing."""

from __future__ import annotations

from pathlib import Path

from tests.study.forking import program

STEP = 11
"""Every eleventh point is enough for each run of the tests; `make chaos` has all of them."""


def test_a_run_that_is_killed_loses_nothing_wherever_it_is_cut(tmp_path: Path) -> None:
    assert cut(tmp_path, STEP) >= 4


def cut(place: Path, step: int) -> int:
    """How many points there were; fails where something does not hold after one of them."""
    ended = program("tests.study.cutting", 0, step, place=place)
    *points, last = ended.stdout.splitlines()
    assert [line for line in points if not line.endswith(": ok")] == [], ended.stderr
    return int(last.removeprefix("points "))
