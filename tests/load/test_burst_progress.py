"""What is told of a burst while it runs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.burst_progress import progress_of
from tuner.load.ticks import MEDIAN_SAMPLES, Tick, batches_of, loss_of_ticks
from tuner.measure.samples import RequestOutcome, RequestSamples
from tuner.measure.statistics import Batches, art, relative_half_width
from tuner.measure.stopping import window_left
from tuner.spec.study import LoadSpec

MS = 1_000_000
SPEC = LoadSpec(min_seconds=1.0, max_seconds=60.0, min_requests=100, precision=0.05, min_slow=50)


def tick(durations_ms: list[float], now_ns: int = 0, due: int = 0, late: int = 0) -> Tick:
    n = len(durations_ms)
    return Tick(
        now_ns=now_ns,
        senders=((now_ns, 0),),
        samples=RequestSamples(
            start_ns=np.zeros(n, np.int64),
            delay_ns=np.zeros(n, np.int64),
            duration_ns=(np.array(durations_ms) * MS).astype(np.int64),
            status=np.full(n, 200, np.int16),
            outcome=np.full(n, RequestOutcome.OK, np.int8),
            replica=np.zeros(n, np.int16),
            connection=np.zeros(n, np.int32),
            request=np.zeros(n, np.int32),
        ),
        due=due,
        late=late,
    )


@given(st.lists(st.lists(st.floats(0.1, 900), max_size=30), min_size=1, max_size=6))
def test_slow_responses_exceed_the_median_by_a_retransmission_timeout(
    row: list[list[float]],
) -> None:
    # Whole nanoseconds, as the clock has.
    ticks = [tick(durations) for durations in row]
    flat = np.concatenate([t.samples.duration_ns for t in ticks])
    expected = np.count_nonzero(flat >= np.median(flat) + 180 * MS) if len(flat) else 0
    assert loss_of_ticks(ticks).delayed == expected


def test_slow_responses_of_very_many() -> None:
    n = 3 * MEDIAN_SAMPLES
    quick, lost = [5.0] * n, [204.0, 206.0, 190.0]
    assert loss_of_ticks([tick(quick), tick(quick + lost), tick(quick)]).delayed == 3
    assert loss_of_ticks([tick(quick), tick([184.0])]).delayed == 0


def test_failed_requests_are_not_slow_responses() -> None:
    failed = tick([1.0, 1.0, 500.0])
    failed.samples.outcome[2] = RequestOutcome.TIMEOUT
    assert loss_of_ticks([failed, tick([])]).delayed == 0


def test_late_requests_are_those_of_the_phase() -> None:
    start = tick([], now_ns=0, due=100, late=40)
    end = tick([1.0], now_ns=10**9, due=150, late=60)
    batches = batches_of([end])
    assert progress_of("window", start, [end], batches, 1.0, "").late_share == pytest.approx(0.4)
    assert progress_of("warm-up", None, [end], batches, 1.0, "").late_share == pytest.approx(0.4)
    assert progress_of("window", end, [end], batches, 1.0, "").late_share is None


counts = st.lists(st.integers(1, 500), min_size=2, max_size=12)


@given(counts, st.integers(0, 2**32), st.none() | st.integers(0, 400))
def test_what_is_left_is_what_some_rule_still_needs(
    count: list[int], seed: int, slow_so_far: int | None
) -> None:
    means = np.random.default_rng(seed).uniform(1, 3, len(count))
    batches = Batches(np.array(count, float), means * count)
    seconds = 0.3 * len(count)
    left = window_left(batches, seconds, SPEC, slow_so_far)
    total = seconds + left
    assert left >= SPEC.batch_seconds - 1e-9
    assert total <= SPEC.max_seconds + SPEC.batch_seconds
    more = left / SPEC.batch_seconds
    assert more == pytest.approx(round(more))
    if total < SPEC.max_seconds - 1e-6:
        # By then each rule has what it asks for ...
        grown = total / seconds * 1.001
        width = relative_half_width(art(batches))
        assert total >= SPEC.min_seconds - 1e-9
        assert sum(count) * grown >= SPEC.min_requests
        assert width / np.sqrt(grown) <= SPEC.precision
        if slow_so_far is not None:
            assert slow_so_far * grown >= SPEC.min_slow
        # ... and a batch before one of them has not, unless the window could end now.
        grown = (total - SPEC.batch_seconds) / seconds / 1.001
        assert left < 1.5 * SPEC.batch_seconds or (
            grown * seconds < SPEC.min_seconds
            or sum(count) * grown < SPEC.min_requests
            or width / np.sqrt(grown) > SPEC.precision
            or (slow_so_far is not None and slow_so_far * grown < SPEC.min_slow)
        )


def test_a_window_that_could_end_takes_one_more_batch() -> None:
    steady = Batches(np.full(5, 300.0), np.full(5, 600.0))
    assert window_left(steady, 1.5, SPEC, None) == pytest.approx(0.3)
    assert window_left(steady, 0.3, SPEC, None) == pytest.approx(0.9)
    assert window_left(steady, 1.5, SPEC, 10) == pytest.approx(6.0)


def test_what_no_time_would_give_lasts_to_the_limit() -> None:
    steady = Batches(np.full(5, 300.0), np.full(5, 600.0))
    nothing = Batches(np.zeros(5), np.zeros(5))
    varied = Batches(np.full(5, 300.0), np.array([0.0, 300.0, 600.0, 900.0, 1200.0]))
    exact = replace(SPEC, precision=0.0)
    for batches, spec, slow_so_far in (
        (steady, SPEC, 0),
        (nothing, SPEC, None),
        (varied, exact, None),
    ):
        assert window_left(batches, 1.5, spec, slow_so_far) == pytest.approx(58.5)
