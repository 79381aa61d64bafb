from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.recordings import recording, recordings
from tuner.load.parquet import Recording
from tuner.measure.samples import RequestOutcome
from tuner.results.first_requests import (
    FIRST,
    HEAD,
    POINTS,
    Sent,
    sent,
    spread_evenly,
    spreads,
    thinned,
)


def of(*ms: float, usual: float | None = 1.0, failed: tuple[int, ...] = ()) -> Sent:
    ok = np.array([i not in failed for i in range(len(ms))])
    return Sent(0, np.array(ms, float), ok, usual, 0)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 20_000),
    st.integers(0, 3),
    st.sampled_from([100, 500, POINTS]),
)
def test_thinning_keeps_the_first_and_the_extremes(
    seed: int, count: int, skip: int, points: int
) -> None:
    values = np.random.default_rng(seed).lognormal(sigma=2, size=count)
    kept = thinned(values, skip, points)
    assert len(kept) <= points
    assert (np.diff(kept) > 0).all()
    rest = np.arange(skip, count)
    if len(rest) <= points:
        assert kept.tolist() == rest.tolist()
        return
    assert kept[:HEAD].tolist() == rest[:HEAD].tolist()
    assert values[kept].min() == values[skip:].min()
    assert values[kept].max() == values[skip:].max()
    # So do the extremes of any longer part of it.
    half = skip + (count - skip) // 2
    assert values[kept[kept >= half]].max() >= np.quantile(values[half:], 0.99)


@given(recordings())
def test_every_request_that_was_sent_is_of_one_replica(found: Recording) -> None:
    by_replica = sent(found)
    assert [s.replica for s in by_replica] == sorted({s.replica for s in by_replica})
    samples = found.samples
    assert sum(map(len, by_replica)) == np.count_nonzero(samples.replica >= 0)
    for one in by_replica:
        mine = samples.replica == one.replica
        assert np.sort(one.ms).tolist() == np.sort(samples.duration_ns[mine] / 1e6).tolist()
        assert one.ok.sum() == np.count_nonzero(samples.outcome[mine] == RequestOutcome.OK)
        assert 0 <= one.warmup <= len(one)
        assert 0 <= one.slow <= len(one)
        assert len(one.ratios) == (min(FIRST, len(one)) if one.usual_ms else 0)


def test_requests_are_in_order_of_sending_and_not_of_completion() -> None:
    one, other = sent(
        recording(
            [0, 1, 2, 3, 50, 60, 61],
            [30, 8, 6, 4, 2, 2, 2],
            (40, 70),
            replica=[0, 0, 1, 0, 0, 1, 0],
        )
    )
    assert one.ms.tolist() == [30, 8, 4, 2, 2]
    assert other.ms.tolist() == [6, 2]
    assert (one.usual_ms, other.usual_ms) == (2, 2)
    assert one.ratios.tolist() == [15, 4, 2]
    assert one.slow == 3
    assert (one.warmup, other.warmup) == (3, 1)


def test_one_that_was_sent_late_comes_after_those_sent_before_it() -> None:
    (one,) = sent(recording([0, 1, 2], [9, 2, 3], (0, 20), delay_ms=[5, 0, 0]))
    assert one.ms.tolist() == [2, 3, 9]


def test_without_a_successful_request_in_the_window_nothing_is_compared() -> None:
    failed = [RequestOutcome.OK, RequestOutcome.TIMEOUT]
    (one,) = sent(recording([0, 50], [5, 5], (40, 70), outcome=failed))
    assert one.usual_ms is None
    assert len(one.ratios) == 0
    assert one.slow == 0


def test_first_requests_are_slow_in_a_row_only() -> None:
    assert of(9, 2, 1, 9, 1).slow == 2
    assert of(1, 9).slow == 0
    assert of(9, 9).slow == 2


def test_spreads_are_over_all_replicas_without_what_failed() -> None:
    bursts = [[of(4, 2, 1), of(6, 2)], [of(8, 2, 1, failed=(0,))], [of(50, 50, usual=None)]]
    first, second, third = spreads(bursts)
    assert (first.nth, first.count, first.median) == (1, 2, 5)
    assert (first.p25, first.p75) == pytest.approx((4.5, 5.5))
    assert (second.count, second.median) == (3, 2)
    assert (third.count, third.median) == (2, 1)
    assert spreads([]) == ()


@given(st.integers(0, 500), st.integers(2, 300))
def test_some_of_many_are_spread_evenly(count: int, most: int) -> None:
    items = list(range(count))
    some = list(spread_evenly(items, most))
    assert len(some) == min(count, most)
    assert some == sorted(set(some))
    if some:
        assert (some[0], some[-1]) == (0, count - 1)
        gaps = np.diff(some)
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
