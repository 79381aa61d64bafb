"""How far bursts of one configuration differ, beyond what each burst's own interval explains.

A burst's interval holds what varies within its seconds. Containers that are made anew, and a host
whose speed drifts, make two bursts differ by more than that. Where configurations were measured
more than once, that part is known, and a stated interval includes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.measure.statistics import Z, student

FEWEST_DEGREES = 3
"""Repeats beyond the first, of all configurations together, below which nothing is said."""


@dataclass(frozen=True)
class Repeatability:
    """Standard deviation between bursts of one configuration, as a share of the value.

    `degrees` is the number of repeats that it rests on (degrees of freedom).
    """

    relative_sd: float
    degrees: int


def repeatability(repeats: Iterable[Sequence[Estimate]]) -> Repeatability | None:
    """Of one metric; each sequence holds the estimates of one configuration's bursts.

    Logarithms make a deviation a share of the value, the same for every configuration. The pooled
    variance between bursts less the mean variance within them is what is between (the
    method of moments of a one-way random effects model, Searle, Casella and McCulloch 1992,
    "Variance Components", 3.6). None with fewer than `FEWEST_DEGREES` repeats.
    """
    squares, within, degrees, bursts = 0.0, 0.0, 0, 0
    for group in repeats:
        some = [e for e in group if e.value > 0]
        if len(some) < 2:
            continue
        logs = [math.log(e.value) for e in some]
        mean = sum(logs) / len(logs)
        squares += sum((log - mean) ** 2 for log in logs)
        degrees += len(logs) - 1
        within += sum(_relative_error(e) ** 2 for e in some)
        bursts += len(some)
    if degrees < FEWEST_DEGREES:
        return None
    return Repeatability(math.sqrt(max(0.0, squares / degrees - within / bursts)), degrees)


def widened(estimate: Estimate, by: Repeatability | None) -> Estimate:
    """The estimate with the interval that also holds what differs between bursts."""
    if by is None or estimate.value <= 0:
        return estimate
    between = student(by.degrees) * by.relative_sd
    half = estimate.value * math.hypot(between, Z * _relative_error(estimate))
    return Estimate(estimate.value, max(0.0, estimate.value - half), estimate.value + half)


def _relative_error(estimate: Estimate) -> float:
    """The standard error of a burst's value, as a share of it; 0 where no interval is known."""
    if estimate.low is None or estimate.high is None:
        return 0.0
    return (estimate.high - estimate.low) / (2 * Z * estimate.value)
