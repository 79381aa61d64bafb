"""Whether the host stayed the same while a study ran, by the baseline measured again and again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tuner.measure.measurement import Estimate

FEWEST_ORDINARY = 4
"""Baselines that it takes to know by how much they ordinarily differ."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Baseline:
    """One measurement of the baseline: its trial's number and the metrics that count."""

    number: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class Drift:
    """The baseline was off from trial `first` to trial `last` (both included).

    Trials from there back to the last good baseline and on to the next one are in doubt: they
    are numbered `first` to `last`. `what` says in words how far which metric was off.
    """

    first: int
    last: float
    what: str

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


def drifts(baselines: Sequence[Baseline], tolerance: float) -> tuple[Drift, ...]:
    """The spans of trials in which the host was not what it was for most of the study.

    A baseline is off where a metric differs from the median of all baselines by more than both
    intervals together, more than `tolerance`, a share of that median, and, with four baselines or
    more, more than three times what they ordinarily differ by. A span begins behind the last good
    baseline before it and ends before the next good one (never, where none follows). Fewer than
    two baselines say nothing.
    """
    off = [_off(baseline, baselines, tolerance) for baseline in baselines]
    found: list[Drift] = []
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
        found.append(Drift(good_before + 1, last, what))
    return tuple(found)


def _off(baseline: Baseline, all_of: Sequence[Baseline], tolerance: float) -> str:
    """How far a baseline is off, in words; empty where it is not."""
    if len(all_of) < 2:
        return ""
    parts = []
    for name, estimate in baseline.metrics.items():
        seen = [b.metrics[name] for b in all_of if name in b.metrics]
        values = [e.value for e in seen]
        middle = median(values)
        half = _half(estimate) + median(_half(e) for e in seen)
        difference = estimate.value - middle
        if abs(difference) > max(half, tolerance * middle, 3 * _ordinary(values)):
            change = difference / middle if middle else math.inf
            parts.append(f"{name} of the baseline was {change:+.0%} in trial {baseline.number}")
    return ", ".join(parts)


def _ordinary(values: Sequence[float]) -> float:
    """The standard deviation of baselines that are not off; 0 with too few of them to tell.

    By deviations from the median, which a drift of fewer than half of them leaves alone, or by the
    steps from one to the next, which a host that changed once and for good leaves alone: the
    smaller of the two.
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
