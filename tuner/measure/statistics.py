"""Intervals for what a burst shows: 95 % wherever a confidence is not named.

Response times that follow one another are alike (they share queues and throttled periods), so an
interval that takes them for independent is far too narrow. Means are therefore taken over
batches of time; their number is kept near thirty, as more batches buy nothing and short ones are
alike again (Schmeiser 1982, "Batch size effects in the analysis of simulation output").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from tuner.measure.measurement import Estimate
from tuner.measure.samples import RequestOutcome, RequestSamples
from tuner.measure.student import CONFIDENCE, Z, student

MOST_BATCHES = 40
NANOSECONDS = 1e9


@dataclass(frozen=True, eq=False)
class Batches:
    """Successful requests by equal spans of time: arrays of shape (k,).

    `count` is how many completed in the span, `total_ms` the sum of their response times.
    """

    count: npt.NDArray[np.float64]
    total_ms: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.count)

    def means_ms(self) -> npt.NDArray[np.float64]:
        """Mean response time of each batch that is not empty."""
        some = self.count > 0
        return self.total_ms[some] / self.count[some]

    def paired(self) -> Batches:
        """Batches of twice the span; the first one is left out where the number is odd."""
        odd = len(self) % 2
        count, total = (a[odd:].reshape(-1, 2).sum(axis=1) for a in (self.count, self.total_ms))
        return Batches(count, total)


def batches(samples: RequestSamples, start_ns: int, end_ns: int, span_ns: int) -> Batches:
    """Successful requests of [start_ns, end_ns) by completion, in whole spans from `start_ns`.

    What is left after the last whole span is in no batch.
    """
    spans = max(0, (end_ns - start_ns) // span_ns)
    duration = samples.duration_ns
    index = (samples.start_ns + duration - start_ns) // span_ns
    inside = (samples.outcome == RequestOutcome.OK) & (index >= 0) & (index < spans)
    index = index[inside]
    return Batches(
        np.bincount(index, minlength=spans).astype(np.float64),
        np.bincount(index, weights=duration[inside] / 1e6, minlength=spans).astype(np.float64),
    )


def ratio(total: npt.NDArray[np.float64], over: npt.NDArray[np.float64]) -> Estimate | None:
    """The sum of `total` over the sum of `over`, shape (k,) each, one value a batch of time.

    Student's t interval with the variance of the classical ratio estimator (Cochran 1977,
    "Sampling Techniques", 6.4); neighbouring batches are joined until fewer than `MOST_BATCHES`
    are left. None where `over` sums to 0.
    """
    if not over.sum():
        return None
    value = float(total.sum() / over.sum())
    while len(over) >= MOST_BATCHES:
        odd = len(over) % 2
        total, over = (a[odd:].reshape(-1, 2).sum(axis=1) for a in (total, over))
    k = len(over)
    if k < 2:
        return Estimate(value)
    residual = total - value * over
    error = math.sqrt(float(residual @ residual) / (k * (k - 1))) / float(over.mean())
    half = student(k - 1) * error
    return Estimate(value, max(0.0, value - half), value + half)


def art(of: Batches) -> Estimate | None:
    """Mean response time in ms with its interval over batches; None without a request.

    Spans of equal time hold unequal numbers of requests, so this is a ratio of two means.
    """
    return ratio(of.total_ms, of.count)


def around(value: float, of_batches: Estimate | None) -> Estimate:
    """The value of a whole window with the interval of its whole batches.

    The two differ only where a last batch is not whole; the interval then moves along.
    """
    if of_batches is None or of_batches.low is None or of_batches.high is None:
        return Estimate(value)
    half = of_batches.high - of_batches.value
    return Estimate(value, max(0.0, value - half), value + half)


def relative_half_width(estimate: Estimate | None) -> float:
    """Half the interval as a share of the value; infinite where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None or not estimate.value:
        return math.inf
    return (estimate.high - estimate.value) / estimate.value


def mean(values: Sequence[float]) -> Estimate:
    """The mean of independent values with Student's t interval; none of a single value."""
    found = np.asarray(values, np.float64)
    value, k = float(found.mean()), len(found)
    if k < 2:
        return Estimate(value)
    half = student(k - 1) * float(found.std(ddof=1)) / math.sqrt(k)
    return Estimate(value, value - half, value + half)


def rate(of: Batches, span_seconds: float, value: float) -> Estimate:
    """`value` requests/s with Student's t interval from the counts of the batches."""
    return around(value, ratio(of.count, np.full(len(of), span_seconds)))


@lru_cache
def fewest_samples(p: float) -> int:
    """Least n for which the second largest of n samples exceeds the p-quantile with 99 %.

    Fewer say too little about a percentile to report it. That is the rule by which MLPerf
    Inference ends a run early (64 queries for p90, 662 for p99).
    """
    n = 2
    while bdtr(1, n, 1 - p) > 0.01:
        n += 1
    return n


def percentile(ascending: npt.NDArray[np.float64], p: float) -> Estimate | None:
    """The p-quantile (p >= 0.5) of sorted values, by nearest rank; None with too few samples.

    The interval is of order statistics: the ranks between which the quantile of a continuous
    distribution lies with at least 95 % by the binomial distribution (David and Nagaraja 2003,
    "Order Statistics", 7.1). It takes the samples for independent, so it is too narrow where
    the load swings.
    """
    n = len(ascending)
    if n < fewest_samples(p):
        return None
    tail = (1 - CONFIDENCE) / 2
    spread = 6 * math.sqrt(n * p * (1 - p)) + 6
    ranks = np.arange(max(0, int(n * p - spread)), min(n, int(n * p + spread)) + 1)
    below = bdtr(ranks.astype(np.float64), n, p)
    # With B ~ Binomial(n, p) samples below it, the quantile lies in [x_(low), x_(high)) when
    # low <= B < high, ranks counted from 1.
    low = int(ranks[np.searchsorted(below, tail, side="right")])
    high = int(ranks[np.searchsorted(below, 1 - tail)]) + 1
    rank = math.ceil(n * p - 1e-9)
    return Estimate(*(float(ascending[r - 1]) for r in (rank, low, high)))


def proportion(some: int, of: int) -> Estimate:
    """`some` out of `of` (> 0) with Wilson's score interval (Wilson 1927)."""
    p = some / of
    shrink = 1 + Z**2 / of
    centre = (p + Z**2 / (2 * of)) / shrink
    half = Z * math.sqrt(p * (1 - p) / of + Z**2 / (4 * of**2)) / shrink
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))
