"""How far bursts of one configuration differ, beyond what each burst's own interval explains.

A burst's interval holds what varies within its seconds. Containers that are made anew, and a host
whose speed drifts, make two bursts differ by more than that. Where configurations were measured
more than once, that part is known, and a stated interval includes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from tuner.measure.measurement import Estimate
from tuner.measure.student import Z, student

FEWEST_DEGREES = 3
"""Repeats beyond the first, of all configurations together, below which nothing is said."""

_LEAST = 1e-12


@dataclass(frozen=True)
class Repeatability:
    """Standard deviation between bursts of one configuration, as a share of the value.

    `degrees` is the number of repeats that it rests on (degrees of freedom).
    """

    relative_sd: float
    degrees: int


def repeatability(repeats: Iterable[Sequence[Estimate]]) -> Repeatability | None:
    """Of one metric; each sequence holds the estimates of one configuration's bursts.

    Logarithms make a deviation a share of the value, the same for every configuration. What is
    between bursts is the variance that, added to each burst's own, makes the weighted squared
    deviations from each configuration's mean as large as they are expected to be (Paule and Mandel,
    Journal of Research of the National Bureau of Standards 87(5), 1982, for one group): bursts that
    know little by themselves, as those under packet loss, hide nothing of what the others show.
    None with fewer than `FEWEST_DEGREES` repeats.
    """
    logs: list[float] = []
    own: list[float] = []
    groups: list[int] = []
    found = 0
    for group in repeats:
        some = [e for e in group if e.value > 0]
        if len(some) < 2:
            continue
        logs += [math.log(e.value) for e in some]
        own += [(e.relative_error or 0.0) ** 2 for e in some]
        groups += [found] * len(some)
        found += 1
    degrees = len(logs) - found
    if degrees < FEWEST_DEGREES:
        return None
    values, variances, group_of = np.array(logs), np.array(own), np.array(groups)

    def excess(between: float) -> float:
        weights = 1.0 / (variances + between)
        means = np.bincount(group_of, weights * values) / np.bincount(group_of, weights)
        return float(weights @ (values - means[group_of]) ** 2) - degrees

    if excess(_LEAST) <= 0:
        return Repeatability(0.0, degrees)
    # The deviations from weighted means fall with `between`, and none is larger than the range.
    most = float(np.ptp(values)) ** 2 * len(values) + _LEAST
    return Repeatability(math.sqrt(brentq(excess, _LEAST, most)), degrees)


def widened(estimate: Estimate, by: Repeatability | None) -> Estimate:
    """The estimate with the interval that also holds what differs between bursts."""
    if by is None or estimate.value <= 0:
        return estimate
    between = student(by.degrees) * by.relative_sd
    half = estimate.value * math.hypot(between, Z * (estimate.relative_error or 0.0))
    return Estimate(estimate.value, max(0.0, estimate.value - half), estimate.value + half)
