from __future__ import annotations

from collections.abc import Iterator

import pytest

from tuner.measure.host_use import HostUse, host_use, watch_host
from tuner.measure.proc import HostCounters

SECOND = 1_000_000_000


def counters(seconds: float, busy: float, steal: float = 0, own: float = 0) -> HostCounters:
    """A host of two CPUs; all in seconds."""
    times = (round(s * SECOND) for s in (seconds, busy, steal, own))
    time_ns, busy_ns, steal_ns, own_ns = times
    return HostCounters(time_ns, 2, busy_ns, steal_ns, own_ns)


def test_foreign_is_what_neither_the_measurement_nor_this_process_used() -> None:
    before, after = counters(10, 5, 1, 0.5), counters(12, 8, 1.4, 0.7)
    use = host_use(before, after, 0.8 * SECOND)
    assert (use.foreign_percent, use.steal_percent) == pytest.approx((50, 10))
    assert host_use(before, after, 9 * SECOND).foreign_percent == 0


def test_watching_takes_its_seconds_and_reads_at_both_ends() -> None:
    readings: Iterator[HostCounters | None] = iter([counters(0, 0), counters(2, 1)])
    slept: list[float] = []
    use = watch_host(2, lambda: next(readings), slept.append)
    assert use == HostUse(25, 0)
    assert slept == [2]
    assert watch_host(1, lambda: None, slept.append) is None
