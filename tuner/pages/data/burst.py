"""A burst in the order of time, and what each replica had of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Counts, Floats
from tuner.load.parquet import Recording
from tuner.measure.measurement import Measurement
from tuner.measure.samples import RequestOutcome
from tuner.measure.statistics import NANOSECONDS
from tuner.pages.data.latency import in_window

SPANS = 100
"""Of a burst, from its first request to its last answer."""


@dataclass(frozen=True, eq=False)
class OverTime:
    """A burst in equal spans of time, arrays of shape (k,), k <= `SPANS`.

    Seconds count from when the first request was due; `middle` is that of each span. A request is
    in the span in which it completed. Of the successful ones of a span: the `least`, `median`,
    `p95` and `most` response time in ms, nan where there is none, and how many there were a second
    (`rate`). `errors` counts the others. `window` is when the measured window began and ended.
    """

    middle: Floats
    least: Floats
    median: Floats
    p95: Floats
    most: Floats
    rate: Floats
    errors: Counts
    window: tuple[float, float]
    span: float
    """Seconds."""


def over_time(recording: Recording) -> OverTime | None:
    """None for a burst without a request."""
    samples = recording.samples
    if not len(samples):
        return None
    ended = samples.start_ns + samples.duration_ns
    first = int(samples.start_ns.min())
    whole = max(int(ended.max()), recording.window_end_ns) - first
    spans = min(SPANS, max(1, len(samples)))
    span_ns = max(1, -(-(whole + 1) // spans))
    index = (ended - first) // span_ns
    good = samples.outcome == RequestOutcome.OK
    levels = np.full((4, spans), np.nan)
    # Sorted by span, so that each one's response times stand together.
    order = np.argsort(index[good], kind="stable")
    times, at = samples.duration_ns[good][order] / 1e6, index[good][order]
    edges = np.searchsorted(at, np.arange(spans + 1))
    for k in range(spans):
        inside = times[edges[k] : edges[k + 1]]
        if len(inside):
            levels[:, k] = np.quantile(inside, [0, 0.5, 0.95, 1], method="inverted_cdf")
    least, median, p95, most = levels
    start, end = recording.window_start_ns, recording.window_end_ns
    return OverTime(
        middle=(np.arange(spans, dtype=np.float64) + 0.5) * (span_ns / NANOSECONDS),
        least=least,
        median=median,
        p95=p95,
        most=most,
        rate=np.diff(edges).astype(np.float64) * (NANOSECONDS / span_ns),
        errors=np.bincount(index[~good], minlength=spans).astype(np.int64),
        window=((start - first) / NANOSECONDS, (end - first) / NANOSECONDS),
        span=span_ns / NANOSECONDS,
    )


@dataclass(frozen=True)
class Part:
    """What one replica had of a window: its requests, those of them that did not succeed, its
    metrics by name, and its shares (0 to 1) of all requests and of all replicas' CPU time.

    Without samples, requests are not counted, and shared as the successful ones were. A share of
    nothing is None.
    """

    replica: int
    metrics: Mapping[str, float]
    request_share: float | None
    cpu_share: float | None
    requests: int | None = None
    errors: int | None = None


def parts(measurement: Measurement, recording: Recording | None) -> tuple[Part, ...]:
    """By replica."""
    of = measurement.replicas
    cpu = _shares([metrics.get("cpu_cores", math.nan) for metrics in of])
    if recording is None:
        shares = _shares([metrics.get("throughput_rps", math.nan) for metrics in of])
        return tuple(Part(i, m, shares[i], cpu[i]) for i, m in enumerate(of))
    window = in_window(recording)
    mine = [window.replica == i for i in range(len(of))]
    counts = [int(np.count_nonzero(m)) for m in mine]
    errors = [int(np.count_nonzero(m & (window.outcome != RequestOutcome.OK))) for m in mine]
    shares = _shares(counts)
    return tuple(Part(i, m, shares[i], cpu[i], counts[i], errors[i]) for i, m in enumerate(of))


def _shares(amounts: Sequence[float]) -> list[float | None]:
    whole = sum(amounts)
    return [amount / whole if whole > 0 else None for amount in amounts]
