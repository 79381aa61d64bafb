"""Servers that stop answering or change within a window, and those that only look like it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.bursts import MS, SECOND, closed_loop, ending, open_loop, with_outcomes
from tuner.measure.measurement import Finding
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, RequestOutcome
from tuner.measure.steadiness import lasting_changes, silences
from tuner.measure.stopping import FIXED_STAGE


def halted(
    burst: Burst, at: float, seconds: float, replica: int = 0, *, cpu: bool = False
) -> Burst:
    """The burst in which a replica stood still for so long, `at` seconds into the window.

    With `cpu` it went on using CPU meanwhile.
    """
    begin, pause = burst.window_start_ns + round(at * SECOND), round(seconds * SECOND)
    sent = burst.samples
    mine = sent.replica == replica
    start, duration = sent.start_ns.copy(), sent.duration_ns.copy()
    later = mine & (start >= begin)
    caught = mine & ~later & (start + duration > begin)
    duration[caught] += pause
    if burst.rate_rps is None:
        start[later] += pause
    else:  # requests are due all the same
        due = later & (start < begin + pause)
        duration[due] += begin + pause - start[due]
    readings = burst.cpu.cpu_ns.copy()
    if not cpu:
        time_ns = burst.cpu.time_ns[:, replica]
        passed = time_ns - time_ns[0]
        still = np.clip(passed - round(at * SECOND), 0, pause)
        readings[:, replica] = (passed - still) // 2
    return replace(
        burst,
        samples=replace(sent, start_ns=start, duration_ns=duration),
        cpu=replace(burst.cpu, cpu_ns=readings),
    )


def slower(burst: Burst, factor: float, at: float) -> Burst:
    """The burst whose requests take longer from `at` seconds into the window on."""
    sent = burst.samples
    end = sent.start_ns + sent.duration_ns
    late = end >= burst.window_start_ns + round(at * SECOND)
    duration = np.where(late, (factor * sent.duration_ns).astype(np.int64), sent.duration_ns)
    return replace(burst, samples=replace(sent, start_ns=end - duration, duration_ns=duration))


def of_silence(burst: Burst) -> list[Finding]:
    end = burst.samples.start_ns + burst.samples.duration_ns
    window = burst.samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))
    return list(silences(burst, window))


@pytest.mark.parametrize("burst", [closed_loop(), open_loop(), open_loop(rate_rps=1)])
def test_a_steady_burst_has_no_finding(burst: Burst) -> None:
    assert of_silence(burst) == []
    assert list(lasting_changes(burst)) == []


@pytest.mark.parametrize("replica", [0, 1])
@pytest.mark.parametrize("burst", [closed_loop(), open_loop()])
def test_a_replica_that_was_halted_is_invalid_and_named(burst: Burst, replica: int) -> None:
    (found,) = of_silence(halted(burst, at=1.5, seconds=0.8, replica=replica))
    assert found.verdict == "INVALID"
    assert found.what == (
        f"replica {replica} answered nothing for 0.8 s and used no CPU:"
        " something halted it, or it hung"
    )


def test_one_that_works_while_it_is_silent_is_doubted() -> None:
    (found,) = of_silence(halted(closed_loop(), at=1.5, seconds=0.8, cpu=True))
    assert found.verdict == "WARN"
    assert re.fullmatch(
        r"replica 0 answered nothing for 0\.8 s, 8\d times its response time", found.what
    )


def test_one_that_waits_for_the_disk_is_doubted_only() -> None:
    (found,) = of_silence(ending(halted(closed_loop(), 1.5, 0.8), 0, major_faults=40))
    assert found.verdict == "WARN"


@pytest.mark.parametrize("cpu", [False, True])
def test_one_that_never_answers_again_is_invalid(cpu: bool) -> None:
    (found,) = of_silence(halted(closed_loop(), at=2.5, seconds=60, cpu=cpu))
    assert found.verdict == "INVALID"
    assert "it hung" in found.what
    assert "1.5 s" in found.what


def test_timeouts_meanwhile_are_no_answers() -> None:
    burst = closed_loop(concurrency=2, response_ms=10)
    end = burst.samples.start_ns + burst.samples.duration_ns - burst.window_start_ns
    late = np.flatnonzero((end > 2 * SECOND) & (end < 3 * SECOND) & (burst.samples.replica == 1))
    (found,) = of_silence(
        with_outcomes(burst, dict.fromkeys(late.tolist(), RequestOutcome.TIMEOUT))
    )
    assert found.what.startswith("replica 1 answered nothing for 1.0 s")


@pytest.mark.parametrize(
    "burst",
    [
        halted(closed_loop(), at=1.5, seconds=0.4),
        halted(closed_loop(response_ms=120), at=1.5, seconds=0.8),
        replace(halted(closed_loop(), at=1.5, seconds=0.8), lossy=True),
    ],
)
def test_a_short_silence_a_slow_model_and_a_lossy_network_are_none(burst: Burst) -> None:
    assert of_silence(burst) == []


def test_a_replica_that_nobody_asks_is_not_silent() -> None:
    burst = open_loop(rate_rps=50)
    sent = burst.samples
    gone = (sent.start_ns > 2 * SECOND) & (sent.start_ns < 4 * SECOND) & (sent.replica == 0)
    assert of_silence(replace(burst, samples=sent.select(~gone))) == []


@pytest.mark.parametrize("at", [0.8, 2, 3.2])
@pytest.mark.parametrize(
    ("factor", "expected"), [(1.2, []), (1.3, ["WARN"]), (0.7, ["WARN"]), (3, ["INVALID"])]
)
def test_a_server_that_changes_for_good_is_found(
    at: float, factor: float, expected: list[str]
) -> None:
    found = list(lasting_changes(slower(closed_loop(), factor, at)))
    assert [f.verdict for f in found] == expected
    for finding in found:
        told = re.fullmatch(
            r"ART went from (.+) to (.+) ms after (.+) s of the window", finding.what
        )
        assert told is not None
        assert [*map(float, told.groups())] == [
            pytest.approx(10, rel=0.05),
            pytest.approx(10 * factor, rel=0.05),
            pytest.approx(at, abs=0.13),
        ]


def test_a_measurement_has_the_findings() -> None:
    halt = measure_burst(halted(closed_loop(), 1.5, 0.8), host_cpus=4, batch_seconds=0.25)
    assert halt.verdict == "INVALID"
    assert "something halted it" in halt.findings[0].what
    slow = measure_burst(slower(closed_loop(), 3, 2), host_cpus=4, batch_seconds=0.25)
    assert any("ART went from 10 to 30 ms" in f.what for f in slow.findings)


def test_ramps_backlogs_and_losses_may_change() -> None:
    changed = slower(closed_loop(), 3, 2)
    assert list(lasting_changes(replace(changed, stop_reason=f"{FIXED_STAGE}: from 1 to 9"))) == []
    assert list(lasting_changes(replace(changed, lossy=True))) == []
    assert list(lasting_changes(slower(open_loop(), 3, 2))) == []


def test_noise_is_seldom_a_change() -> None:
    """Response times that vary by 20 % from span to span, and follow one another a little."""
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(400):
        burst = closed_loop(concurrency=1, response_ms=5)
        spans = rng.normal(0, 0.2, 26)
        noise = np.exp(spans[1:] + 0.5 * spans[:-1])
        which = (burst.samples.start_ns // (250 * MS)).clip(0, len(noise) - 1)
        duration = (burst.samples.duration_ns * noise[which]).astype(np.int64)
        alarms += bool(
            list(
                lasting_changes(
                    replace(burst, samples=replace(burst.samples, duration_ns=duration))
                )
            )
        )
    assert alarms <= 4


@given(st.floats(0.1, 3.0), st.floats(0.0, 3.0), st.integers(0, 1))
def test_a_halt_is_found_where_it_is_long_enough(at: float, seconds: float, replica: int) -> None:
    found = of_silence(halted(closed_loop(), at, seconds, replica))
    inside = min(seconds, 4 - at)
    if inside < 0.48:
        assert found == []
    if inside > 0.52:
        assert [f.what.split(" answered")[0] for f in found] == [f"replica {replica}"]
