from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.bursts import closed_loop, with_outcomes
from tests.pages.recordings import recording, recordings
from tuner.load.parquet import Recording
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, RequestOutcome
from tuner.results.burst_latency import BINS, POINTS, SHARES, ecdf, in_window, latency_of
from tuner.spec.metrics import PERCENTILES


def recorded(burst: Burst) -> Recording:
    return Recording(burst.samples, burst.window_start_ns, burst.window_end_ns, burst.concurrency)


@given(recordings())
def test_the_distribution_is_one_and_counts_every_request_once(found: Recording) -> None:
    window = in_window(found)
    times = np.sort(np.maximum(window.duration_ns[window.outcome == RequestOutcome.OK], 1)) / 1e6
    latency = latency_of(found)
    assert latency.count == len(times) == latency.bins.sum()
    assert len(latency.at) == len(latency.share) <= POINTS
    assert len(latency.bins) <= BINS
    if not len(times):
        assert not len(latency.at)
        assert not len(latency.edges)
        assert latency.took(0.5) is None
        return
    assert (np.diff(latency.at) > 0).all()
    assert (np.diff(latency.share) > 0).all()
    assert latency.share[0] > 0
    assert latency.share[-1] == 1
    assert (latency.at[0], latency.at[-1]) == (times[0], times[-1])
    assert (np.diff(latency.edges) > 0).all()
    assert latency.edges[0] <= times[0]
    assert times[-1] <= latency.edges[-1]
    # Whatever stays is a point of the whole ECDF.
    below = np.searchsorted(times, latency.at, side="right") / len(times)
    assert (latency.share == below).all()


@given(recordings(), st.sampled_from(SHARES))
def test_a_thinned_distribution_still_has_its_quantiles(found: Recording, share: float) -> None:
    window = in_window(found)
    times = np.sort(np.maximum(window.duration_ns[window.outcome == RequestOutcome.OK], 1)) / 1e6
    took = latency_of(found).took(share)
    if len(times):
        assert took == times[max(0, math.ceil(len(times) * share - 1e-9) - 1)]
    else:
        assert took is None


def test_thinning_keeps_both_tails() -> None:
    values = np.arange(1.0, 100_001.0)
    at, _ = ecdf(values)
    assert len(at) <= POINTS
    for tail in (at, 100_001.0 - at):
        assert {1.0, 2.0, 3.0} <= set(tail)
        assert np.count_nonzero(tail <= 100) >= 10
    assert np.diff(at).max() < 0.02 * len(values)


def test_it_speaks_of_the_requests_that_the_measurement_counts() -> None:
    burst = with_outcomes(
        closed_loop(), {800: RequestOutcome.TIMEOUT, 801: RequestOutcome.HTTP_ERROR}
    )
    measured = measure_burst(burst, 2, 0.1)
    latency = latency_of(recorded(burst))
    assert latency.count == measured.requests - 2
    known = {name: e for name, e in measured.metrics.items() if name in PERCENTILES}
    assert dict(latency.percentiles) == known
    assert latency.percentiles["p99_ms"].value == pytest.approx(10)
    assert latency.unit == "ms"


def test_the_warm_up_and_what_came_too_late_are_not_in_it() -> None:
    latency = latency_of(recording([0, 10, 20, 30], [5, 7, 9, 11], (15, 35)))
    assert latency.at.tolist() == [7, 9]
    assert latency.share.tolist() == [0.5, 1]
    assert latency.percentiles == {}


def test_requests_that_all_took_the_same_are_in_one_bin() -> None:
    latency = latency_of(recording([0, 10, 20], [5, 5, 5], (0, 100)))
    assert latency.bins.tolist() == [3]
    assert latency.edges[0] < 5 < latency.edges[1]
