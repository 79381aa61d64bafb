"""The progress of a burst while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.load.ticks import Tick, joined_samples
from tuner.measure.samples import RequestOutcome
from tuner.measure.statistics import Batches, art, percentile, relative_half_width

Phase = Literal["warm-up", "window"]

LIVE_SAMPLES = 8192
"""The live p99 is that of this many requests, the last ones."""


@dataclass(frozen=True)
class BurstProgress:
    """One phase of a burst so far.

    `art_ms` and `p99_ms` are None until there are enough successful requests. `art_precision` is
    half the 95 % interval of ART as a share of it, None while there is none.
    """

    phase: Phase
    seconds: float
    seconds_left: float
    """Until the end of the phase: of a window an estimate, of a warm-up the time until its
    limit."""
    requests: int
    errors: int
    art_ms: float | None
    art_precision: float | None
    p99_ms: float | None
    """Of the last `LIVE_SAMPLES` requests."""
    rate_rps: float
    """Successful requests per second."""
    client_cpu: float
    """CPU time of all senders over wall time in the phase: 1 is a whole core."""
    waiting_for: str
    """What the phase still waits for, in words."""
    late_share: float | None = None
    """The share of an open loop's requests due in the phase that were sent late (`LATE_NS`) or
    still wait. None for a closed loop, and before any was due."""


def progress_of(
    phase: Phase,
    start: Tick | None,
    ticks: Sequence[Tick],
    batches: Batches,
    left: float,
    waiting_for: str,
) -> BurstProgress:
    """The progress after `ticks` (not empty) of a phase that began with the tick `start`.

    Without `start` it began about one tick before the first. The precision is that of `batches`, by
    which the phase ends. `left` is in seconds.
    """
    first, last = start or ticks[0], ticks[-1]
    seconds = max((last.now_ns - first.now_ns) / 1e9, 1e-9)
    requests = sum(len(t.samples) for t in ticks)
    successful = sum(t.successful for t in ticks)
    mean = art(batches)
    width = relative_half_width(mean)
    due, late = (last.due, last.late) if start is None else _since(start, last)
    return BurstProgress(
        phase=phase,
        seconds=seconds,
        seconds_left=max(0.0, left),
        requests=requests,
        errors=requests - successful,
        art_ms=mean.value if mean else None,
        art_precision=width if np.isfinite(width) else None,
        p99_ms=_p99_ms(ticks),
        rate_rps=successful / seconds,
        client_cpu=(last.cpu_ns - first.cpu_ns) / 1e9 / seconds,
        waiting_for=waiting_for,
        late_share=min(1.0, max(0.0, late / due)) if due else None,
    )


def _since(start: Tick, last: Tick) -> tuple[int, int]:
    # A request that waited at the start was not due in the phase. It is late at both ticks.
    return last.due - start.due, last.late - start.late


def _p99_ms(ticks: Sequence[Tick]) -> float | None:
    recent: list[Tick] = []
    for tick in reversed(ticks):
        recent.append(tick)
        if sum(len(t.samples) for t in recent) >= LIVE_SAMPLES:
            break
    samples = joined_samples(recent[::-1])
    good = samples.duration_ns[samples.outcome == RequestOutcome.OK][-LIVE_SAMPLES:]
    p99 = percentile(np.sort(good) / 1e6, 0.99)
    return p99.value if p99 else None
