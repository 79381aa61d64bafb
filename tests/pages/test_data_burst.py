from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given

from tests.measure.bursts import closed_loop, with_outcomes
from tests.pages.recordings import recording, recordings
from tests.pages.test_data_latency import recorded
from tuner.load.parquet import Recording
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import RequestOutcome
from tuner.pages.trial_burst import SPANS, over_time
from tuner.results.replicas import parts


@given(recordings())
def test_every_request_is_in_one_span(found: Recording) -> None:
    of = over_time(found)
    samples = found.samples
    if not len(samples):
        assert of is None
        return
    assert of is not None
    good = samples.outcome == RequestOutcome.OK
    assert len(of.middle) <= SPANS
    assert round((of.rate * of.span).sum()) == np.count_nonzero(good)
    assert of.errors.sum() == np.count_nonzero(~good)
    known = np.isfinite(of.median)
    assert known.tolist() == (of.rate > 0).tolist()
    levels = [level[known] for level in (of.least, of.median, of.p95, of.most)]
    assert all((a <= b).all() for a, b in itertools.pairwise(levels))
    if good.any():
        times = samples.duration_ns[good] / 1e6
        assert (np.nanmin(of.least), np.nanmax(of.most)) == (times.min(), times.max())


def test_a_steady_burst_is_flat_and_its_window_is_where_it_was() -> None:
    of = over_time(recorded(closed_loop(response_ms=10, seconds=6, window=(1, 5))))
    assert of is not None
    assert of.window == pytest.approx((1, 5))
    assert of.median == pytest.approx(10)
    assert of.rate[5:-5].mean() == pytest.approx(400, rel=0.02)
    assert of.middle[-1] + of.span / 2 == pytest.approx(6, abs=0.1)


def test_response_times_are_those_of_the_span_in_which_they_ended() -> None:
    of = over_time(recording([0, 0, 90], [10, 10, 110], (0, 200)))
    assert of is not None
    assert of.median[np.isfinite(of.median)].tolist() == [10, 110]
    assert of.middle[np.isfinite(of.median)] == pytest.approx([0.033, 0.167], abs=0.001)


def test_replicas_share_requests_and_cpu_time() -> None:
    burst = with_outcomes(closed_loop(), {800: RequestOutcome.TIMEOUT})
    measured = measure_burst(burst, 2, 0.1)
    of = parts(measured, recorded(burst))
    assert [p.replica for p in of] == [0, 1]
    assert sum(p.requests or 0 for p in of) == measured.requests
    assert sum(p.errors or 0 for p in of) == 1
    assert sum(p.request_share or 0 for p in of) == pytest.approx(1)
    assert [p.cpu_share for p in of] == pytest.approx([2 / 3, 1 / 3])
    assert of[0].metrics["art_ms"] == pytest.approx(10)


def test_without_samples_requests_are_shared_as_the_counters_say() -> None:
    burst = closed_loop()
    measured = measure_burst(burst, 2, 0.1)
    of, exact = parts(measured, None), parts(measured, recorded(burst))
    assert [p.requests for p in of] == [None, None]
    assert [p.request_share for p in of] == pytest.approx([p.request_share for p in exact])
