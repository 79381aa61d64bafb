"""How far bursts of one configuration differ, beyond what each burst's own interval explains.

A burst's interval covers what varies within its seconds. New containers, and a host whose speed
drifts, make two bursts differ by more than that. Repeated measurements of configurations show how
much more, and stated intervals include it.

Bursts of one scenario may differ by more than those of another: a CPU limit that is always reached
gives the same CPU usage every time, and one client on a lossy network gives another one in each
burst. What repeated bursts show of their scenario says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from tuner.arrays import Floats, Indices
from tuner.measure.link import LOGARITHM, LinkFunction
from tuner.measure.measurement import Estimate, Z, student

FEWEST_DEGREES = 3
"""The fewest repeats (beyond the first bursts, of all configurations together) for an estimate."""

BELIEVED = 4.0
"""So many repeats' worth of belief that a scenario's bursts differ as the study's do. It is the
prior of an inverse chi-squared variance (Smyth, Statistical Applications in Genetics and Molecular
Biology 3(1), 2004, shares variances between groups in this way)."""

LEAST, MOST = 0.2, 5.0
"""No scenario's bursts are taken to differ by less or more than so many times the usual."""

_LEAST = 1e-12


@dataclass(frozen=True)
class Repeatability:
    """The standard deviation between bursts of one configuration, as a share of the value.

    Of a metric that may be 0 it is that on the scale of its link (`tuner.measure.link`).

    `degrees` is the number of repeats behind it (degrees of freedom).
    """

    relative_sd: float
    degrees: int


def repeatability(
    repeats: Iterable[Sequence[Estimate]], link: LinkFunction = LOGARITHM
) -> Repeatability | None:
    """The repeatability of one metric; None with fewer than `FEWEST_DEGREES` repeats.

    Each sequence has the estimates of one configuration's bursts. On the scale of the metric's
    `link` a deviation is the same for every configuration: a share of the value for logarithms. The
    variance between bursts is the one that, added to each burst's own, makes the weighted squared
    deviations from each configuration's mean as large as expected (Paule and Mandel, Journal of
    Research of the National Bureau of Standards 87(5), 1982, for one group). So imprecise bursts,
    such as those under packet loss, do not hide what the others show.
    """
    return RepeatedBursts.of(repeats, link).repeatability()


@dataclass(frozen=True, eq=False)
class RepeatedBursts:
    """The bursts of the configurations that were repeated, of one metric, on the scale of a link.

    `values` and `variances` have shape (N,), `groups` the number of each one's configuration among
    all that were given. The others have fewer than two usable bursts.
    """

    values: Floats
    variances: Floats
    groups: Indices

    @classmethod
    def of(
        cls, repeats: Iterable[Sequence[Estimate]], link: LinkFunction = LOGARITHM
    ) -> RepeatedBursts:
        """Each sequence has the estimates of one configuration's bursts."""
        usable: list[Estimate] = []
        groups: list[int] = []
        for number, group in enumerate(repeats):
            own = [e for e in group if e.value > 0 or link != LOGARITHM]
            if len(own) >= 2:
                usable += own
                groups += [number] * len(own)
        return cls(
            link.scaled(np.array([e.value for e in usable], dtype=np.float64)),
            np.array([(link.standard_error(e) or 0.0) ** 2 for e in usable], dtype=np.float64),
            np.array(groups, dtype=np.intp),
        )

    @property
    def degrees(self) -> int:
        """How many of them are beyond the first of their configuration."""
        return len(self.values) - int(np.count_nonzero(np.diff(self.groups, prepend=-1)))

    def without(self, group: int) -> RepeatedBursts:
        """Those of all other configurations."""
        others = self.groups != group
        return RepeatedBursts(self.values[others], self.variances[others], self.groups[others])

    def repeatability(self) -> Repeatability | None:
        """As the function of that name."""
        return self._repeatability

    @cached_property
    def _repeatability(self) -> Repeatability | None:
        degrees = self.degrees
        if degrees < FEWEST_DEGREES:
            return None
        values, variances = self.values, self.variances
        group_of = np.cumsum(np.diff(self.groups, prepend=self.groups[0]) != 0)

        def excess(between: float) -> float:
            weights = 1.0 / (variances + between)
            means = np.bincount(group_of, weights * values) / np.bincount(group_of, weights)
            return float(weights @ (values - means[group_of]) ** 2) - degrees

        if excess(_LEAST) <= 0:
            return Repeatability(0.0, degrees)
        # The deviations fall as `between` grows, and none is larger than the range of the values.
        most = float(np.ptp(values)) ** 2 * len(values) + _LEAST
        return Repeatability(math.sqrt(brentq(excess, _LEAST, most)), degrees)

    def factors(self, scenario: Indices) -> Mapping[int, float]:
        """By how much more the bursts of each scenario differ than they should.

        `scenario` numbers the scenario of each burst, shape (N,). The squared deviations of a
        scenario's bursts are compared with what they should be: with what is uncertain of each, and
        with what bursts of all scenarios differ beyond that. Empty where too little was repeated.
        """
        usual = self.repeatability()
        if usual is None or not (variance := self.variances + usual.relative_sd**2).all():
            return {}
        weights = 1.0 / variance
        _, config = np.unique(self.groups, return_inverse=True)
        means = np.bincount(config, weights * self.values) / np.bincount(config, weights)
        numbers, of = np.unique(scenario, return_inverse=True)
        squares = np.bincount(of, weights * (self.values - means[config]) ** 2)
        degrees = np.bincount(of, 1.0 - 1.0 / np.bincount(config)[config])
        ratios = (BELIEVED + squares) / (BELIEVED + degrees)
        factors = np.sqrt(np.clip(ratios, LEAST**2, MOST**2))
        return dict(zip(numbers.tolist(), factors.tolist(), strict=True))

    def repeatabilities(self, scenario: Indices) -> Mapping[int, Repeatability]:
        """That of each scenario; a scenario that is missing differs as all together do.

        `scenario` is as for `factors`. What is uncertain of its bursts themselves is taken off what
        they differ by.
        """
        usual = self.repeatability()
        if usual is None:
            return {}
        each = {}
        for number, factor in self.factors(scenario).items():
            own = float(self.variances[scenario == number].mean())
            between = factor**2 * (own + usual.relative_sd**2) - own
            each[number] = Repeatability(math.sqrt(max(0.0, between)), usual.degrees)
        return each


def widened(
    estimate: Estimate,
    by: Repeatability | None,
    share: float = 1.0,
    link: LinkFunction = LOGARITHM,
) -> Estimate:
    """The estimate with an interval that also covers the difference between bursts.

    Bursts differ in this `share` of the value only.
    """
    if by is None:
        return estimate
    between = share * student(by.degrees) * by.relative_sd
    half = math.hypot(between, Z * (link.standard_error(estimate) or 0.0))
    value = estimate.value
    if link == LOGARITHM:
        half *= value
        return Estimate(value, max(0.0, value - half), value + half) if value > 0 else estimate
    low, high = link.in_unit(link.scaled(value) + half * np.array([-1.0, 1.0])).tolist()
    ends = [low, high, value, *(e for e in (estimate.low, estimate.high) if e is not None)]
    return Estimate(value, min(ends), max(ends))
