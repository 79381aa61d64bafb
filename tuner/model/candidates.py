"""Configurations that a model of the search space speaks of, as points of the unit cube."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.lattice import ENUMERABLE
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value

_LOG_RATIO = 3.0
"""From this ratio of highest to lowest value on, ratios of values matter, not differences."""


@dataclass(frozen=True)
class Axis:
    """How the values of one parameter become coordinates.

    An ordered one has one column, 0 at its lowest and 1 at its highest value; in between it goes
    by logarithm where all are positive and the range is wide, by square root where it starts at
    zero (as losses do), else linearly. Two categories are 0 and 1; more have a column each, so
    scaled that any two are at distance 1. A conditional parameter has one column more, which says
    whether it is active; where it is not, it has its default.
    """

    parameter: Parameter

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.categories or ((),)) + (self.parameter.when is not None)

    @property
    def categories(self) -> tuple[Value, ...]:
        """Those with a column each; none for an ordered parameter."""
        if self.parameter.ordered:
            return ()
        choices = self.parameter.choices or ()
        return choices if len(choices) > 2 else choices[1:] or choices

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value of an ordered parameter."""
        choices = self.parameter.choices
        if choices is not None:
            numbers = [float(v) for v in choices]
            return min(numbers), max(numbers)
        assert self.parameter.low is not None
        assert self.parameter.high is not None
        return float(self.parameter.low), float(self.parameter.high)

    def encoded(self, values: Sequence[Value | None]) -> Floats:
        """Coordinates, shape (len(values), width); None stands for inactive."""
        default = self.parameter.default
        filled = [default if v is None else v for v in values]
        if self.parameter.ordered:
            coordinates = self._scaled(np.array(filled, dtype=np.float64))[:, None]
        else:
            distance = 1.0 if len(self.categories) < 2 else math.sqrt(0.5)
            coordinates = distance * np.array(
                [[_same(v, c) for c in self.categories] for v in filled], dtype=np.float64
            ).reshape(len(filled), len(self.categories))
        if self.parameter.when is not None:
            active = np.array([v is not None for v in values], dtype=np.float64)
            coordinates = np.column_stack([coordinates, active])
        return coordinates

    def _scaled(self, values: Floats) -> Floats:
        low, high = self.bounds
        if high <= low:
            return np.zeros_like(values)
        if low > 0 and (self.parameter.log or high / low >= _LOG_RATIO):
            scaled = np.log(np.maximum(values, low * 1e-9) / low) / math.log(high / low)
        elif low == 0:
            scaled = np.sqrt(np.maximum(values, 0.0) / high)
        else:
            scaled = (values - low) / (high - low)
        return np.clip(scaled, 0.0, 1.0)


def _same(value: Value, other: Value) -> bool:
    # True == 1 in Python; as categories they are two.
    return value == other and isinstance(value, bool) == isinstance(other, bool)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Configurations of `space` with what a model wants to know of each.

    `coordinates` has shape (n, d), all in [0, 1]; `owners` names the parameter of each of the d
    columns. `deployment` and `scenario`, shape (n,), number the distinct deployments and scenarios
    in order of appearance; `scenarios` lists the latter, each the values of the scenario
    parameters. `scenario_parameters` are their names.
    """

    space: SearchSpace
    configurations: tuple[Configuration, ...]
    coordinates: Floats
    owners: tuple[str, ...]
    deployment: Indices
    scenario: Indices
    scenarios: tuple[Configuration, ...]
    scenario_parameters: tuple[str, ...]

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        configurations: Iterable[Configuration] | None = None,
        scenarios: Sequence[str] = (),
    ) -> Candidates:
        """Of these configurations (distinct ones), or of the whole lattice in its order.

        `scenarios` are the parameters that tell scenarios apart; none: all whose role it is.
        Raises ValueError without configurations where the space cannot be enumerated.
        """
        names = tuple(scenarios) or tuple(p.name for p in space.with_role("scenario"))
        if configurations is None:
            return _whole(space, names)
        return _of(space, tuple(dict.fromkeys(configurations)), names)

    def __len__(self) -> int:
        return len(self.configurations)

    def index(self, configuration: Mapping[str, Value]) -> int | None:
        """The row of a configuration, or None where it is not among them."""
        if not isinstance(configuration, Configuration):
            configuration = Configuration.of(configuration)
        return self._rows.get(configuration)

    def encoded(self, configurations: Sequence[Mapping[str, Value]]) -> Floats:
        """Coordinates of any configurations of the space, shape (len(configurations), d)."""
        return encoded(self.space, configurations)

    @cached_property
    def _rows(self) -> dict[Configuration, int]:
        return {c: i for i, c in enumerate(self.configurations)}


def encoded(space: SearchSpace, configurations: Sequence[Mapping[str, Value]]) -> Floats:
    """Coordinates of configurations, shape (len(configurations), d)."""
    mappings = [dict(c.items_) if isinstance(c, Configuration) else c for c in configurations]
    columns = [Axis(p).encoded([c.get(p.name) for c in mappings]) for p in space]
    return np.column_stack([np.zeros((len(mappings), 0)), *columns])


def numbers(
    space: SearchSpace, configurations: Sequence[Mapping[str, Value]], name: str, usual: float
) -> Floats:
    """Values of a numeric parameter, shape (n,); its default where it is inactive, and `usual`
    where the space has none of that name.
    """
    default = next((p.default for p in space if p.name == name), None)
    if default is None:
        return np.full(len(configurations), usual)
    return np.array([float(c.get(name, default)) for c in configurations], dtype=np.float64)


@lru_cache(maxsize=4)
def _whole(space: SearchSpace, scenarios: tuple[str, ...]) -> Candidates:
    size = space.size()
    if size is None or size > ENUMERABLE:
        raise ValueError("the space is continuous or too large: say which configurations")
    return _of(space, tuple(space.grid()), scenarios)


def _of(
    space: SearchSpace, configurations: tuple[Configuration, ...], scenarios: tuple[str, ...]
) -> Candidates:
    deployment, _ = _numbered([space.deployment_of(c) for c in configurations])
    scenario, distinct = _numbered([c.only(scenarios) for c in configurations])
    return Candidates(
        space,
        configurations,
        encoded(space, configurations),
        tuple(p.name for p in space for _ in range(Axis(p).width)),
        deployment,
        scenario,
        distinct,
        scenarios,
    )


def _numbered(parts: Sequence[Configuration]) -> tuple[Indices, tuple[Configuration, ...]]:
    numbers: dict[Configuration, int] = {}
    ids = [numbers.setdefault(part, len(numbers)) for part in parts]
    return np.array(ids, dtype=np.intp), tuple(numbers)
