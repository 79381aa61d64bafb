"""Whether the host drifted while a study ran, by repeated measurements of the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tuner.measure.measurement import Estimate

FEWEST_ORDINARY = 4
"""The fewest baselines from which their ordinary difference is estimated."""

MAD_TO_SD = 1.4826
"""The standard deviation of a normal distribution divided by its median absolute deviation."""


@dataclass(frozen=True)
class Baseline:
    """One measurement of the baseline: the number of its trial, and its metrics."""

    number: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class Drift:
    """The trials `first` to `last` (both included) are in doubt, since the baseline was off.

    They reach back to the last good baseline and forward to the next one. `what` says in words
    which metric was off, and how far.
    """

    first: int
    last: float
    what: str

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


def drifts(baselines: Sequence[Baseline], tolerance: float) -> tuple[Drift, ...]:
    """The spans of trials in which the host differed from what it was for most of the study.

    A baseline is off where a metric differs from the median of all baselines by more than both
    intervals together, and by more than `tolerance` (a share of that median). With four baselines
    or more it must also differ by more than three times their ordinary difference. A span begins
    after the last good baseline and ends before the next good one, or never where none follows.
    Fewer than two baselines say nothing.
    """
    off = [_off(baseline, baselines, tolerance) for baseline in baselines]
    spans: list[Drift] = []
    good_before = -1
    at = 0
    while at < len(baselines):
        if not off[at]:
            good_before = baselines[at].number
            at += 1
            continue
        begin = at
        while at < len(baselines) and off[at]:
            at += 1
        last = baselines[at].number - 1 if at < len(baselines) else math.inf
        what = "; ".join(dict.fromkeys(text for text in off[begin:at] if text))
        spans.append(Drift(good_before + 1, last, what))
    return tuple(spans)


def _off(baseline: Baseline, all_of: Sequence[Baseline], tolerance: float) -> str:
    """How far the baseline is off, in words; empty where it is not."""
    if len(all_of) < 2:
        return ""
    parts = []
    for name, estimate in baseline.metrics.items():
        estimates = [b.metrics[name] for b in all_of if name in b.metrics]
        values = [e.value for e in estimates]
        middle = median(values)
        half = _half(estimate) + median(_half(e) for e in estimates)
        difference = estimate.value - middle
        if abs(difference) > max(half, tolerance * middle, 3 * _ordinary(values)):
            change = difference / middle if middle else math.inf
            parts.append(f"{name} of the baseline was {change:+.0%} in trial {baseline.number}")
    return ", ".join(parts)


def _ordinary(values: Sequence[float]) -> float:
    """The standard deviation of baselines that are not off; 0 where there are too few to tell.

    It is the smaller of two estimates. That by deviations from the median ignores a drift of fewer
    than half of the baselines. That by the steps from one to the next ignores a host that changed
    once and for good.
    """
    if len(values) < FEWEST_ORDINARY:
        return 0.0
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    step = median(abs(after - before) for before, after in pairwise(values))
    return MAD_TO_SD * min(deviation, step / math.sqrt(2))


def _half(estimate: Estimate) -> float:
    if estimate.low is None or estimate.high is None:
        return 0.0
    return (estimate.high - estimate.low) / 2
