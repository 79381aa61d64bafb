"""kill -9 of a simulated study's processes: nothing is lost, and nothing is measured twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.leftovers import Watched, words
from tests.chaos.rows import Row
from tests.study.forking import program
from tests.study.test_cuts import cut

SEED = 13
STORED = (
    "budget exact, no configuration lost or measured twice, no RUNNING trial, integrity_check ok,"
    " samples and records agree"
)


@pytest.mark.parametrize("kills", [2, pytest.param(300, marks=pytest.mark.chaos)])
def test_kill_9_at_random_moments(
    kills: int, tmp_path: Path, report_row: Callable[[Row], None]
) -> None:
    ended = program("tests.chaos.killing", kills, SEED, place=tmp_path)
    found = json.loads(ended.stdout.splitlines()[-1])
    left = sorted(Watched(directory=tmp_path).found())
    stages = ", ".join(f"{name} {count}" for name, count in sorted(found["stages"].items()))
    report_row(
        Row(
            f"kill -9 of a simulated run ({found['studies']} studies; one worker or two; last"
            f" stage told: {stages})",
            found["kills"],
            "the next run goes on; files of killed runs are removed, in one line",
            "; ".join(found["broken"]) or STORED,
            words(left),
        )
    )
    assert found["broken"] == [], ended.stderr
    assert found["kills"] >= kills
    assert left == []


@pytest.mark.chaos
def test_kill_9_at_every_point(tmp_path: Path, report_row: Callable[[Row], None]) -> None:
    points = cut(tmp_path, 1)
    report_row(
        Row(
            "kill -9 after every commit and around every file, then again in the resumed run",
            points,
            "the next run goes on",
            STORED,
            words(sorted(Watched(directory=tmp_path).found())),
        )
    )
