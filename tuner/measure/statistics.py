"""Confidence intervals for the metrics of a burst: 95 % unless stated otherwise.

Successive response times are alike, because they share queues and throttled periods. An interval
that takes them for independent is far too narrow. So means are taken over batches of time. Their
number is kept near thirty: more batches gain nothing, and short ones are alike again (Schmeiser
1982, "Batch size effects in the analysis of simulation output").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, gammaincinv

from tuner.measure.measurement import CONFIDENCE, Estimate, Z, student
from tuner.measure.samples import RequestOutcome, RequestSamples

MOST_BATCHES = 40
NANOSECONDS = 1e9


@dataclass(frozen=True, eq=False)
class Batches:
    """Successful requests in k equal spans of time, as arrays of shape (k,).

    `count` is how many completed in each span, `total_ms` the sum of their response times.
    """

    count: npt.NDArray[np.float64]
    total_ms: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.count)

    def means_ms(self) -> npt.NDArray[np.float64]:
        """Mean response time of each batch that is not empty."""
        filled = self.count > 0
        return self.total_ms[filled] / self.count[filled]

    def paired(self) -> Batches:
        """Batches of twice the span. Of an odd number the first is left out."""
        odd = len(self) % 2
        count, total = (a[odd:].reshape(-1, 2).sum(axis=1) for a in (self.count, self.total_ms))
        return Batches(count, total)


def batches(samples: RequestSamples, start_ns: int, end_ns: int, span_ns: int) -> Batches:
    """The successful requests that complete in [start_ns, end_ns), in spans from `start_ns` on.

    Those after the last whole span are in no batch. The last span may lack some milliseconds: the
    timer that ends a window is no more exact.
    """
    spans = max(0, int((end_ns - start_ns) / span_ns + 0.05))
    duration = samples.duration_ns
    index = (samples.start_ns + duration - start_ns) // span_ns
    inside = (samples.outcome == RequestOutcome.OK) & (index >= 0) & (index < spans)
    index = index[inside]
    return Batches(
        np.bincount(index, minlength=spans).astype(np.float64),
        np.bincount(index, weights=duration[inside] / 1e6, minlength=spans).astype(np.float64),
    )


def ratio(total: npt.NDArray[np.float64], over: npt.NDArray[np.float64]) -> Estimate | None:
    """The sum of `total` divided by the sum of `over`: shape (k,), one value per batch of time.

    The interval is Student's t with the variance of the classical ratio estimator (Cochran 1977,
    "Sampling Techniques", 6.4). Neighbouring batches are joined until fewer than `MOST_BATCHES` are
    left. None where `over` sums to 0.
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
    """The mean response time in ms with an interval over batches; None without a request.

    Equal spans of time have unequal numbers of requests, so this is a ratio of two means.
    """
    return ratio(of.total_ms, of.count)


def around(value: float, of_batches: Estimate | None) -> Estimate:
    """The value of a window with the half width of the interval of its batches.

    The window and its batches differ only where the last batch is not whole.
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
    """The mean of independent values with Student's t interval; without one for a single value."""
    array = np.asarray(values, np.float64)
    value, k = float(array.mean()), len(array)
    if k < 2:
        return Estimate(value)
    half = student(k - 1) * float(array.std(ddof=1)) / math.sqrt(k)
    return Estimate(value, value - half, value + half)


def rate(of: Batches, span_seconds: float, value: float) -> Estimate:
    """`value` requests/s with Student's t interval from the counts of the batches."""
    return around(value, ratio(of.count, np.full(len(of), span_seconds)))


@lru_cache
def fewest_samples(p: float) -> int:
    """The least n such that the second largest of n samples exceeds the p-quantile with 99 %.

    Fewer samples are too few to report the percentile. MLPerf Inference ends a run early by the
    same rule (64 queries for p90, 662 for p99).
    """
    n = 2
    while bdtr(1, n, 1 - p) > 0.01:
        n += 1
    return n


def percentile(ascending: npt.NDArray[np.float64], p: float) -> Estimate | None:
    """The p-quantile (p >= 0.5) of sorted values, by nearest rank; None with too few samples.

    The interval is one of order statistics: between these ranks lies the quantile of a continuous
    distribution with at least 95 %, by the binomial distribution (David and Nagaraja 2003, "Order
    Statistics", 7.1). It takes the samples for independent, so it is too narrow where the load
    swings.
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


def scarce_percentile(ascending: npt.NDArray[np.float64], p: float) -> Estimate | None:
    """As `percentile`, where there are fewer samples than that needs; None without any.

    Its interval is wide. Even the largest sample may lie below the quantile then. Beyond it an
    exponential tail is assumed, with the mean excess of the slowest tenth of the samples, but of
    five at least (Coles 2001, "An Introduction to Statistical Modeling of Extreme Values", 4.3). Of
    that excess the upper 95 % bound is taken, as the excesses' sum has a gamma distribution. Where
    the interval of order statistics ends at the largest sample, the assumption adds nothing.
    """
    n = len(ascending)
    if not n:
        return None
    enough = percentile(ascending, p)
    if enough is not None:
        return enough
    tail = (1 - CONFIDENCE) / 2
    below = bdtr(np.arange(n + 1, dtype=np.float64), n, p)
    low = int(np.searchsorted(below, tail, side="right"))
    largest, slowest = float(ascending[-1]), min(n - 1, max(5, n // 10))
    excess = largest
    if slowest:
        total = float((ascending[-slowest:] - ascending[-slowest - 1]).sum())
        excess = total / float(gammaincinv(slowest, 0.05))
    beyond = excess * max(0.0, math.log(-math.log(tail) / (n * (1 - p))))
    value = float(ascending[math.ceil(n * p - 1e-9) - 1])
    return Estimate(value, float(ascending[low - 1]) if low else 0.0, largest + beyond)


def proportion(successes: int, n: int) -> Estimate:
    """`successes` out of `n` (> 0) as a share, with Wilson's score interval (Wilson 1927)."""
    p = successes / n
    shrink = 1 + Z**2 / n
    centre = (p + Z**2 / (2 * n)) / shrink
    half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / shrink
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def checkpoint(count: int, dense: int = 20, growth: float = 1.08) -> int:
    """Of `count` observations, the number of first ones from which what is slow is learned.

    These are all up to `dense`, then the last of a row that grows by that factor.
    """
    if count <= dense:
        return count
    reached = dense
    while (following := math.ceil(reached * growth)) <= count:
        reached = following
    return reached
