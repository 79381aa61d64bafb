"""The search space of an ordinary Optuna study, as the model wants it.

The model reads meaning from names and numbers: `memory` must suffice, a loss of 0 is special,
values from 1 to 100 differ by ratio. In a study of something else none of this holds. There a
parameter gets a name that means nothing, and a number becomes its position from -1 (lowest) to 1
(highest) on the linear or logarithmic scale of its distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.search.inferred_conditions import InferredCondition
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace, Value

NAMED: Mapping[str, float] = {
    "concurrency": 1.0,
    "replicas": 1.0,
    "cpu": 1e-3,
    "memory": 1.0,
    "loss": 0.0,
    "loss_in": 0.0,
    "loss_out": 0.0,
    "delay": 0.0,
    "rate": 0.0,
}
"""The parameters whose meaning the model knows (`queue_prior`, `feasibility`), and their least
possible values."""

_LEVELS = 1000
"""A number with more values than this counts as continuous."""


@dataclass(frozen=True)
class _Choice:
    """An unordered parameter: the position of the choice."""

    name: str
    inner: str
    distribution: CategoricalDistribution

    @cached_property
    def parameter(self) -> Parameter:
        positions = tuple(range(len(self.distribution.choices)))
        return Parameter(self.inner, "categorical", "decision", 0, choices=positions)

    def inside(self, value: Any) -> Value:  # noqa: ANN401 -- as Optuna's
        return int(self.distribution.to_internal_repr(value))

    def outside(self, value: Value) -> Any:  # noqa: ANN401
        return self.distribution.choices[int(value)]


@dataclass(frozen=True)
class _Number:
    """A number: its position from -1 to 1."""

    name: str
    inner: str
    distribution: IntDistribution | FloatDistribution

    @cached_property
    def levels(self) -> tuple[float, ...] | None:
        """All values in order; None where they are (almost) a continuum."""
        low, high, step = (self.distribution.low, self.distribution.high, self.distribution.step)
        if step is None or (high - low) / step >= _LEVELS:
            return None
        count = round((high - low) / step) + 1
        return tuple(low + i * step for i in range(count))

    @cached_property
    def parameter(self) -> Parameter:
        if self.levels is None:
            return Parameter(self.inner, "float", "decision", 0.0, low=-1.0, high=1.0)
        positions = tuple(map(self._position, self.levels))
        return Parameter(self.inner, "float", "decision", positions[0], choices=positions)

    def inside(self, value: Any) -> Value:  # noqa: ANN401
        if self.levels is None:
            return self._position(value)
        nearest = int(np.argmin(np.abs(np.asarray(self.levels) - value)))
        choices = self.parameter.choices
        assert choices is not None
        return choices[nearest]

    def outside(self, value: Value) -> Any:  # noqa: ANN401
        d = self.distribution
        if self.levels is not None:
            assert self.parameter.choices is not None
            exact = self.levels[self.parameter.choices.index(value)]
        else:
            share = (float(value) + 1.0) / 2.0
            exact = d.low * (d.high / d.low) ** share if d.log else d.low + share * (d.high - d.low)
            if d.step is not None:
                exact = d.low + round((exact - d.low) / d.step) * d.step
        exact = min(max(exact, d.low), d.high)
        return round(exact) if isinstance(d, IntDistribution) else float(exact)

    def _position(self, value: float) -> float:
        d = self.distribution
        if d.log:
            return 2.0 * math.log(value / d.low) / math.log(d.high / d.low) - 1.0
        return 2.0 * (value - d.low) / (d.high - d.low) - 1.0


@dataclass(frozen=True)
class _Named:
    """A number whose name the model knows: as it is."""

    name: str
    distribution: BaseDistribution

    @property
    def inner(self) -> str:
        return self.name

    @cached_property
    def values(self) -> tuple[float, ...] | None:
        """All values, ascending, or the lowest and the highest; None where they are not numbers."""
        d = self.distribution
        if isinstance(d, IntDistribution | FloatDistribution):
            return _Number(self.name, self.name, d).levels or (d.low, d.high)
        assert isinstance(d, CategoricalDistribution)
        numbers = [c for c in d.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        ascending = len(numbers) == len(d.choices) and numbers == sorted(numbers)
        return tuple(numbers) if ascending else None

    @cached_property
    def parameter(self) -> Parameter:
        assert self.values is not None
        if isinstance(d := self.distribution, IntDistribution | FloatDistribution) and (
            _Number(self.name, self.name, d).levels is None
        ):
            low, high = self.values
            return Parameter(self.name, "float", "decision", low, low=low, high=high, log=d.log)
        return Parameter(self.name, "float", "decision", self.values[0], choices=self.values)

    def inside(self, value: Any) -> Value:  # noqa: ANN401
        if self.parameter.choices is None:
            return float(value)
        return min(self.parameter.choices, key=lambda c: abs(float(c) - value))

    def outside(self, value: Value) -> Any:  # noqa: ANN401
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return value
        if isinstance(d, IntDistribution):
            return round(float(value))
        return float(value)


@dataclass(frozen=True)
class InferredSpace:
    """The model's `space`, and the way between its configurations and a trial's parameters."""

    space: SearchSpace
    parameters: tuple[_Choice | _Number | _Named, ...]

    @classmethod
    def of(
        cls,
        search_space: Mapping[str, BaseDistribution],
        conditions: Mapping[str, InferredCondition | None],
        *,
        named: bool,
    ) -> InferredSpace:
        """Of the parameters in `conditions`; None there for one that is always active.

        With `named`, numbers of the names in `NAMED` keep name and value.
        """
        parameters = {
            name: _translated(name, f"x{i}", search_space[name], named=named)
            for i, name in enumerate(conditions)
        }
        inner = []
        for name, condition in conditions.items():
            when = None
            if condition is not None:
                parent = parameters[condition.parent]
                when = Condition(parent.inner, "in", tuple(map(parent.inside, condition.values)))
            inner.append(replace(parameters[name].parameter, when=when))
        return cls(SearchSpace(tuple(inner)), tuple(parameters.values()))

    def values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """Those of a trial's parameters that the space contains."""
        return {
            p.inner: p.inside(params[p.name])
            for p in self.parameters
            if p.name in params and _contains(p.distribution, params[p.name])
        }

    def configuration(self, params: Mapping[str, Any]) -> Configuration | None:
        """What a trial's parameters are in the space; None where one is missing or outside."""
        try:
            return self.space.effective(self.values(params))
        except KeyError:
            return None

    def params(self, configuration: Mapping[str, Value]) -> dict[str, Any]:
        """The parameters of a trial that a configuration means."""
        return {
            p.name: p.outside(configuration[p.inner])
            for p in self.parameters
            if p.inner in configuration
        }


def named_in(search_space: Mapping[str, BaseDistribution]) -> bool:
    """Whether a parameter is a number of a name in `NAMED`."""
    return any(_named(name, distribution) for name, distribution in search_space.items())


def _named(name: str, distribution: BaseDistribution) -> _Named | None:
    if name not in NAMED:
        return None
    parameter = _Named(name, distribution)
    values = parameter.values
    return parameter if values is not None and values[0] >= NAMED[name] else None


def _translated(
    name: str, inner: str, distribution: BaseDistribution, *, named: bool
) -> _Choice | _Number | _Named:
    if named and (parameter := _named(name, distribution)):
        return parameter
    match distribution:
        case CategoricalDistribution():
            return _Choice(name, inner, distribution)
        case IntDistribution() | FloatDistribution():
            return _Number(name, inner, distribution)
        case other:
            raise TypeError(f"unknown kind of distribution: {other}")


def _contains(distribution: BaseDistribution, value: Any) -> bool:  # noqa: ANN401
    try:
        return distribution._contains(distribution.to_internal_repr(value))  # noqa: SLF001
    except ValueError:
        return False
