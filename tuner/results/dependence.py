"""How each objective depends on each parameter: the data behind the figures, with its doubt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.measure.link import link_of
from tuner.model.observations import Observation
from tuner.results.factorial import Crossing
from tuner.results.sample import Sample, for_ratios
from tuner.spec.space import Configuration, Parameter, Value

_LIKELY = 0.5
"""From this probability on a configuration counts as feasible here."""

_FEWEST = 0.1
"""A value is compared where it is feasible in this share of the settings, against the best one."""


@dataclass(frozen=True)
class MeasuredPoint:
    """A feasible trial, measured in full, at one value; other parameters may be anything."""

    value: Value
    measured: float
    trial: int


@dataclass(frozen=True)
class Band:
    """A number at each value of a parameter, between `low` and `high` with 95 % probability; None
    at values that are feasible hardly anywhere.
    """

    value: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """A metric, in its unit, at each value of a parameter: partial dependence (Friedman, 2001).

    It is averaged over settings of all other parameters, each counting at every value or at none,
    so that values are compared like with like. `average` is the arithmetic mean, in which the
    largest count most: of ART, those where packets are lost. In `typical`, the geometric mean, a
    change by a tenth counts the same everywhere. `feasible` is the mean probability that a
    configuration with this value is feasible. `scenario` has the other scenario parameters that
    were held fixed; it is empty where they were averaged over. `settings` were averaged.
    """

    parameter: str
    metric: str
    scenario: Mapping[str, Value]
    values: tuple[Value, ...]
    typical: Band
    average: Band
    feasible: tuple[float, ...]
    settings: int
    measured: tuple[MeasuredPoint, ...]

    @property
    def known(self) -> dict[Value, tuple[float, float, float]]:
        """`typical` with its band's ends, at the values that have it."""
        band = self.typical
        return {
            v: (mean, low, high)
            for v, mean, low, high in zip(self.values, band.value, band.low, band.high, strict=True)
            if mean is not None and low is not None and high is not None
        }


@dataclass(frozen=True, eq=False)
class Effect:
    """The same with all draws: `typical` and `average`, shape (draws, V), in the metric's unit at
    `values`, those at which a configuration may be feasible.
    """

    parameter: Parameter
    metric: str
    scenario: Configuration
    values: tuple[Value, ...]
    typical: Floats
    average: Floats
    settings: int
    asked: tuple[Value, ...]
    """All values, feasible or not."""
    feasible: tuple[float, ...]
    """Mean probability at each of `asked`."""

    @property
    def for_ratios(self) -> Floats:
        """`typical` as it can be compared by factors."""
        return for_ratios(self.typical, self.metric)

    def curve(self, observations: Sequence[Observation], column: int) -> Curve:
        """With the measured points; `column` is the metric's among the observed values."""
        name = self.parameter.name
        points = (
            MeasuredPoint(o.configuration[name], o.values[column], o.number)
            for o in observations
            if o.values is not None
            and not o.cut_short
            and name in o.configuration
            and all(v <= 0 for v in o.violations.values())
            and all(o.configuration.get(n) == v for n, v in self.scenario.items())
        )
        return Curve(
            name,
            self.metric,
            dict(self.scenario),
            self.asked,
            self._band(self.typical),
            self._band(self.average),
            self.feasible,
            self.settings,
            tuple(points),
        )

    def _band(self, draws: Floats) -> Band:
        at = {value: i for i, value in enumerate(self.values)}

        def spread(numbers: Floats) -> tuple[float | None, ...]:
            return tuple(float(numbers[at[v]]) if v in at else None for v in self.asked)

        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        return Band(spread(draws.mean(axis=0)), spread(low), spread(high))


def parameter_effects(sample: Sample, metric: str) -> tuple[Effect, ...]:
    """The effect of each parameter with several values, over all settings of the others."""
    effects = (
        effect(sample, metric, crossing, Configuration(()))
        for crossing in sample.factorial.mains.values()
    )
    return tuple(e for e in effects if e is not None)


def scenario_effects(sample: Sample, metric: str) -> Iterator[Effect]:
    """The effect of each parameter in each scenario: other scenario parameters are held fixed."""
    factorial = sample.factorial
    for name, crossing in factorial.mains.items():
        fixed = [
            p.name
            for p in factorial.space.with_role("scenario")
            if p.name != name and p.name in factorial.mains
        ]
        if not fixed:
            continue
        for values in itertools.product(*(factorial.axes[n] for n in fixed)):
            scenario = Configuration(tuple(zip(fixed, values, strict=True)))
            scenario_effect = effect(sample, metric, crossing, scenario)
            if scenario_effect is not None:
                yield scenario_effect


def effect(
    sample: Sample, metric: str, crossing: Crossing, scenario: Configuration
) -> Effect | None:
    """The effect of the parameter that `crossing` varies.

    None where it is not active in the scenario, or where fewer than two of its values are feasible.
    """
    factorial, (name,), (values,) = sample.factorial, crossing.names, crossing.values
    names = tuple(factorial.axes)
    active = np.array([name in factorial.configurations[row] for row in crossing.rows[0]])
    for fixed, value in scenario.items():
        at = factorial.axes[fixed].index(value)
        active &= crossing.settings[:, names.index(fixed)] == at
    if not active.any():
        return None
    rows = crossing.rows[:, active]
    probability = sample.feasible[rows]
    kept, settings = compared(probability >= _LIKELY)
    if len(kept) < 2:
        return None
    chosen, link = rows[np.ix_(kept, settings)], link_of(metric)
    return Effect(
        factorial.space[name],
        metric,
        scenario,
        tuple(values[i] for i in kept),
        link.in_unit(link.scaled(sample.values(metric)[:, chosen]).mean(axis=2)),
        sample.values(metric)[:, chosen].mean(axis=2),
        len(settings),
        values,
        tuple(float(p) for p in probability.mean(axis=1)),
    )


def compared(
    able: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which values, and which settings, of a table of feasibility, shape (V, S), to compare.

    The settings are feasible at every value. Values that are feasible hardly anywhere are left
    out; then, as long as too few settings are left over, the one that is feasible least often.
    """
    often = able.mean(axis=1)
    values = np.flatnonzero((often > 0) & (often >= _FEWEST * often.max()))
    while len(values):
        settings = np.flatnonzero(able[values].all(axis=0))
        if len(settings) >= max(1.0, _FEWEST * often[values].max() * able.shape[1]):
            return values, settings
        values = np.delete(values, often[values].argmin())
    return values, np.zeros(0, dtype=np.intp)
