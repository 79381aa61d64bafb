"""Whether ratios of two noisy values differ from 1, one by one and all together. Pure functions.

Everything is done on natural logarithms, so that B against A says the inverse of A against B.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import false_discovery_control
from scipy.stats import t as student_t

from tuner.arrays import Floats
from tuner.measure.measurement import Estimate, student

LEVEL = 0.05
"""Of what is said to differ, so large a share is expected not to (false discovery rate)."""

POWER = 0.8
"""The probability with which a test finds a true ratio of `Ratio.seen`."""


@dataclass(frozen=True)
class Ratio:
    """A ratio with its own 95 % interval.

    `p` is the probability of a ratio at least so far from 1 where there is no difference,
    `adjusted` the same after correction for all that were tested together, and `differs` whether
    that is at most `LEVEL`. A true ratio of `seen` (above 1), or its inverse, would have been found
    with probability `POWER`, even if it were the only one.
    """

    value: float
    low: float
    high: float
    p: float
    adjusted: float
    seen: float

    @property
    def differs(self) -> bool:
        return self.adjusted <= LEVEL


@dataclass(frozen=True)
class Overall:
    """The mean ratio over `count` configurations with its 95 % interval.

    `spread` is by how much the ratios of configurations truly differ: a standard deviation of their
    logarithms, 0 where noise explains all.
    """

    ratio: Estimate
    spread: float
    count: int


@dataclass(frozen=True, eq=False)
class LogRatios:
    """Logarithms of n ratios: their values, standard errors and those errors' degrees of freedom.

    All have shape (n,).
    """

    values: Floats
    errors: Floats
    degrees: Floats


def judged(groups: Sequence[LogRatios]) -> list[list[Ratio]]:
    """The ratios of each group, all of them tested together.

    Each is tested by Student's t. The p-values are corrected by the rule of Benjamini and
    Hochberg, Journal of the Royal Statistical Society B 57(1), 1995: where nothing differs, the
    probability that anything is said to differ is `LEVEL`.
    """
    values, errors, degrees = (
        np.concatenate([np.zeros(0), *(getattr(group, name) for group in groups)])
        for name in ("values", "errors", "degrees")
    )
    count = len(values)
    if count == 0:
        return [[] for _ in groups]
    p = 2 * student_t.sf(np.abs(values) / errors, degrees)
    adjusted = false_discovery_control(p)
    half = student_t.isf(LEVEL / 2, degrees) * errors
    # The smallest p-value of all is compared with LEVEL / count (as in Bonferroni's bound).
    strict = student_t.isf(LEVEL / (2 * count), degrees) + student_t.isf(1 - POWER, degrees)
    ratios = [
        Ratio(
            math.exp(v), math.exp(v - h), math.exp(v + h), float(alone), float(of_all), float(seen)
        )
        for v, h, alone, of_all, seen in zip(
            values.tolist(), half.tolist(), p, adjusted, np.exp(strict * errors), strict=True
        )
    ]
    ends = np.cumsum([0, *(len(group.values) for group in groups)]).tolist()
    return [ratios[start:end] for start, end in itertools.pairwise(ends)]


def overall(logs: LogRatios) -> Overall | None:
    """The random-effects mean; None where there are no ratios.

    What differs between configurations beyond noise is estimated as by Paule and Mandel, Journal of
    Research of the National Bureau of Standards 87(5), 1982. The interval is that of Hartung and
    Knapp, Statistics in Medicine 20(24), 2001, never narrower than that of the noise alone (as in
    Knapp and Hartung, Statistics in Medicine 22(17), 2003).
    """
    count = len(logs.values)
    if count == 0:
        return None
    values, variances = logs.values, logs.errors**2

    def excess(between: float) -> float:
        weights = 1.0 / (variances + between)
        mean = weights @ values / weights.sum()
        return float(weights @ (values - mean) ** 2) - (count - 1)

    between = 0.0
    if count > 1 and excess(0.0) > 0:
        # Deviations fall as it grows, and none is larger than the range.
        between = brentq(excess, 0.0, float(np.ptp(values)) ** 2 * count)
    weights = 1.0 / (variances + between)
    mean = float(weights @ values / weights.sum())
    if count == 1:
        half = student(float(logs.degrees[0])) * float(logs.errors[0])
    else:
        scale = float(weights @ (values - mean) ** 2) / (count - 1)
        half = student(count - 1) * math.sqrt(max(1.0, scale) / float(weights.sum()))
    ratio = Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
    return Overall(ratio, math.sqrt(between), count)
