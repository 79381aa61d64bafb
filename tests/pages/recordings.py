"""Recordings of bursts, arbitrary ones and such whose every figure is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tuner.load.parquet import Recording
from tuner.measure.samples import RequestOutcome, RequestSamples

MS = 10**6


def recording(
    start_ms: Sequence[float],
    duration_ms: Sequence[float],
    window_ms: tuple[float, float],
    replica: Sequence[int] = (),
    outcome: Sequence[int] = (),
    delay_ms: Sequence[float] = (),
) -> Recording:
    """Requests by when they were due; by default of replica 0, sent on time, and successful."""
    n = len(start_ms)

    def ns(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([round(v * MS) for v in values] or [0] * n, np.int64)

    samples = RequestSamples(
        start_ns=ns(start_ms),
        delay_ns=ns(delay_ms),
        duration_ns=ns(duration_ms),
        status=np.full(n, 200, np.int16),
        outcome=np.array(list(outcome) or [0] * n, np.int8),
        replica=np.array(list(replica) or [0] * n, np.int16),
        connection=np.zeros(n, np.int32),
        request=np.zeros(n, np.int32),
    )
    start, end = (round(v * MS) for v in window_ms)
    by_end = np.argsort(samples.start_ns + samples.duration_ns, kind="stable")
    ordered = RequestSamples(
        *(getattr(samples, name)[by_end] for name in RequestSamples.__dataclass_fields__)
    )
    return Recording(ordered, start, end, concurrency=1)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any burst of up to 3,000 requests to three replicas; some fail, some were never sent."""
    n = draw(st.integers(0, 3000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = np.sort(rng.integers(0, 10_000 * MS, n))
    spread = draw(st.sampled_from([0.0, 0.3, 2.0]))
    duration = np.exp(rng.normal(0, spread, n)) * draw(st.sampled_from([0.001, 1.0, 200.0]))
    outcome = np.where(
        rng.random(n) < draw(st.sampled_from([0, 0.1, 1])), RequestOutcome.TIMEOUT, 0
    )
    replica = rng.integers(0, 3, n)
    never = rng.random(n) < draw(st.sampled_from([0, 0.1]))
    window = sorted(draw(st.tuples(st.integers(0, 12_000), st.integers(0, 12_000))))
    return recording(
        (start / MS).tolist(),
        duration.tolist(),
        (window[0], window[1]),
        np.where(never, -1, replica).tolist(),
        np.where(never, RequestOutcome.NOT_SENT, outcome).tolist(),
    )
