from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.bursts import MS, SECOND, closed_loop, readings, samples
from tuner.measure.measuring import measure_burst
from tuner.measure.packet_loss import (
    count_unclear,
    cpu_line,
    is_delayed,
    loss_of_samples,
    loss_parts,
)
from tuner.measure.samples import Burst, RequestOutcome, RequestSamples


def of(requests: RequestSamples, *, lossy: bool = True) -> Burst:
    """A burst of 4 s in which these requests complete."""
    one = closed_loop()
    return Burst(
        **{**vars(one), "samples": requests, "lossy": lossy, "window_start_ns": 0}
        | {"window_end_ns": 4 * SECOND}
    )


def requests(milliseconds: list[float]) -> RequestSamples:
    """Successful requests that complete evenly over 4 s."""
    ends = np.linspace(0, 4 * SECOND - 1, len(milliseconds)).astype(int).tolist()
    return samples(ends, [round(ms * MS) for ms in milliseconds], [0] * len(milliseconds))


def test_a_delayed_request_is_a_timeout_above_the_median() -> None:
    times = np.array([5, 5, 5, 94, 96, 184, 185, 600]) * MS
    assert is_delayed(times, 5 * MS).tolist() == [False] * 6 + [True] * 2
    assert count_unclear(times, 5 * MS) == 2, "96 and 184 ms are neither"
    assert is_delayed(times[:0]).tolist() == []


@given(st.lists(st.floats(1, 50), min_size=20, max_size=60), st.lists(st.floats(240, 900)))
def test_art_is_the_undelayed_mean_and_the_share_times_the_delay(
    quick: list[float], slow: list[float]
) -> None:
    slow = slow[: len(quick) // 3]
    measured = measure_burst(of(requests([*quick, *slow])), 4, 0.5)
    parts = measured.loss
    assert parts is not None
    assert (parts.requests, parts.delayed) == (len(quick) + len(slow), len(slow))
    share = parts.delayed / parts.requests
    together = parts.undelayed_ms.value + share * parts.delay_ms
    assert together == pytest.approx(measured.metrics["art_ms"].value)
    assert measured.metrics["delayed_percent"].value == pytest.approx(100 * share)
    assert ("loss_delay_ms" in measured.metrics) == bool(slow)


def test_without_loss_nothing_is_taken_apart() -> None:
    burst = of(requests([5.0] * 90 + [300.0] * 10), lossy=False)
    measured = measure_burst(burst, 4, 0.5)
    assert measured.loss is None
    assert "delayed_percent" not in measured.metrics


def test_failed_requests_are_in_no_part() -> None:
    given = requests([5.0] * 95 + [300.0] * 5)
    given.outcome[-1] = RequestOutcome.TIMEOUT
    parts = loss_parts(of(given), given, 0.5)
    assert parts is not None
    assert (parts.requests, parts.delayed) == (99, 4)


def test_a_window_so_far_counts_what_completed_in_it() -> None:
    given = requests([5.0] * 39 + [250.0])
    whole = loss_of_samples(given, 0, 4 * SECOND, SECOND)
    assert (whole.delayed, whole.unclear) == (1, 0)
    assert whole.undelayed.count.sum() == 39
    assert loss_of_samples(given, 0, 2 * SECOND, SECOND).delayed == 0


def test_cpu_usage_is_a_line_over_throughput() -> None:
    rates = np.array([100.0, 50, 200, 150, 120, 80])
    seconds = np.concatenate([[0.0], np.cumsum(0.5 * (0.1 + 0.002 * rates))])
    times = np.arange(7) * 0.5
    burst = Burst(**{**vars(closed_loop()), "cpu": readings(times.tolist(), [seconds.tolist()])})
    line = cpu_line(burst, rates)
    assert line is not None
    assert line.slope == pytest.approx(0.002)
    assert line.cores == pytest.approx(0.1 + 0.002 * rates.mean())
    assert max(line.cores_error, line.slope_error) < 1e-6
    assert cpu_line(burst, rates[:3]) is None, "batches and readings do not match"


def test_few_batches_tell_cpu_time_per_request() -> None:
    times, rates = np.arange(4) * 0.5, np.array([100.0, 50, 150])
    burst = Burst(
        **{**vars(closed_loop()), "cpu": readings(times.tolist(), [(0.1 * times).tolist()])}
    )
    line = cpu_line(burst, rates)
    assert line is not None
    assert line.slope == pytest.approx(0.1 / 100)
