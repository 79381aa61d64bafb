"""How long the requests of a burst's window took: their distribution, thinned for a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Counts, Floats
from tuner.load.parquet import Recording
from tuner.measure.measurement import Estimate
from tuner.measure.samples import RequestOutcome, RequestSamples
from tuner.measure.statistics import percentile
from tuner.spec.metrics import PERCENTILES

POINTS = 200
"""Of an ECDF, at most."""
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Of requests, for which a thinned ECDF says exactly how long they took."""
BINS = 40
"""Of a histogram, at most; equal ones on a log axis."""


@dataclass(frozen=True, eq=False)
class Latency:
    """Response times of the successful requests that completed in the window, all in `unit`.

    `share[i]` of the `count` requests took at most `at[i]`; both ascend, `at` from the quickest
    request to the slowest, `share` from above 0 to 1; shape (k,), k <= `POINTS`. `bins[i]` requests
    took from `edges[i]` to `edges[i + 1]` (the last edge included); shapes (b,) and (b + 1,).
    `percentiles` by metric name (`p50_ms`) with their 95 % intervals, those that so few requests
    show. All are empty where no request succeeded.
    """

    count: int
    at: Floats
    share: Floats
    edges: Floats
    bins: Counts
    percentiles: Mapping[str, Estimate]
    unit: str = "ms"

    def took(self, share: float) -> float | None:
        """The time that `share` (one of `SHARES`) of the requests did not exceed, by nearest rank.

        None where no request succeeded.
        """
        if not self.count:
            return None
        return float(self.at[np.searchsorted(self.share, share - 1e-9)])


def latency_of(recording: Recording) -> Latency:
    """The distribution of a burst's response times, as its measurement counts them."""
    window = in_window(recording)
    # What takes no time that the clock can tell has no place on a log axis.
    duration = np.maximum(window.duration_ns[window.outcome == RequestOutcome.OK], 1)
    times = np.sort(duration) / 1e6
    at, share = ecdf(times)
    edges, bins = histogram(times)
    estimates = {name: percentile(times, p) for name, p in PERCENTILES.items()}
    stated = {name: estimate for name, estimate in estimates.items() if estimate is not None}
    return Latency(len(times), at, share, edges, bins, stated)


def in_window(recording: Recording) -> RequestSamples:
    """The requests that completed in the window, in order of completion."""
    samples = recording.samples
    end = samples.start_ns + samples.duration_ns
    return samples.select((end >= recording.window_start_ns) & (end < recording.window_end_ns))


def ecdf(ascending: Floats, points: int = POINTS) -> tuple[Floats, Floats]:
    """The values of an ECDF's steps and the share at or below each, at most `points` of them.

    Where there are more, those of evenly spaced ranks stay, and of ranks that come ever nearer to
    both ends: a tail of few requests is as much of the figure as the middle. The least and the
    greatest and the quantiles of `SHARES` always stay, and what stays is of the whole ECDF.
    """
    n = len(ascending)
    if n > points:
        even = np.linspace(0, n - 1, points // 2 - len(SHARES))
        tail = np.geomspace(1, n, points // 4) - 1
        quantile_ranks = np.ceil(n * np.array(SHARES) - 1e-9) - 1
        ranks = np.concatenate([even, tail, n - 1 - tail, np.maximum(quantile_ranks, 0)])
        kept = ascending[np.unique(np.rint(ranks).astype(np.int64))]
    else:
        kept = ascending
    at = np.unique(kept)
    return at, np.searchsorted(ascending, at, side="right") / max(n, 1)


def histogram(ascending: Floats) -> tuple[Floats, Counts]:
    """Edges (b + 1,) and counts (b,) of positive values, in bins that are equal on a log axis.

    There are fewer than `BINS` where there are few values.
    """
    n = len(ascending)
    if not n:
        return np.empty(0), np.empty(0, np.int64)
    least, most = float(ascending[0]), float(ascending[-1])
    if most <= least * (1 + 1e-9):
        return np.array([least / 1.05, most * 1.05]), np.array([n])
    edges = np.geomspace(least, most, min(BINS, int(np.ceil(2 * np.sqrt(n)))) + 1)
    edges[[0, -1]] = least, most
    counts, _ = np.histogram(ascending, edges)
    return edges, counts.astype(np.int64)
