"""The clock is set back and forward, and the time zone changes, while a study runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import cycle

import pytest

from tests.study.small import FEASIBLE, run, specification
from tuner.measure.record import TrialRecord
from tuner.study.loop import Event, Started
from tuner.study.storage import records


@pytest.fixture(autouse=True)
def _own_zone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def sound(trials: list[TrialRecord]) -> bool:
    """Whether each took some time, and not an hour."""
    return len(trials) == 8 and all(
        0 <= seconds < 600 for trial in trials for seconds in trial.phases.values()
    )


def test_a_time_zone_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    zones = cycle(["Pacific/Kiritimati", "Pacific/Honolulu"])

    def travel(event: Event) -> None:
        if isinstance(event, Started):
            monkeypatch.setenv("TZ", next(zones))
            time.tzset()

    before = datetime.now(UTC)
    trials = records(run(specification(FEASIBLE), observe=travel))
    assert sound(trials)
    starts = [datetime.fromisoformat(trial.started) for trial in trials]
    assert {start.utcoffset() for start in starts} == {timedelta(0)}
    minute = timedelta(minutes=1)
    assert all(before - minute <= start <= datetime.now(UTC) + minute for start in starts)


def test_a_clock_that_is_set_back_and_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = cycle([0, -1, 0, 1])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            set_to = datetime.now(tz) + timedelta(hours=next(hours))
            return cls.combine(set_to.date(), set_to.time(), tz)

    for module in ("tell", "next"):
        monkeypatch.setattr(f"tuner.study.{module}.datetime", Clock)
    assert sound(records(run(specification(FEASIBLE))))
