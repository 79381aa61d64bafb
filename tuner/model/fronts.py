"""The overall front and the front of each scenario, as indices into the trials given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.model.pareto import front, minimised
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value


@dataclass(frozen=True)
class ScenarioFront:
    """The front inside one scenario; empty where nothing feasible was measured there."""

    scenario: Configuration
    trials: tuple[int, ...]
    """Indices of all trials of the scenario, in the order given."""
    front: tuple[int, ...]


@dataclass(frozen=True)
class Fronts:
    """Fronts sorted by the first objective; scenarios in the order of the search space."""

    overall: tuple[int, ...]
    scenarios: tuple[ScenarioFront, ...]


def fronts(
    space: SearchSpace,
    configurations: Sequence[Mapping[str, Value]],
    values: npt.ArrayLike,
    feasible: Sequence[bool],
    directions: Sequence[Direction],
    scenarios: Sequence[str] | None = None,
) -> Fronts:
    """Fronts of n trials: `values` has shape (n, m); the infeasible are on no front.

    `scenarios` are the parameters that make a scenario, None for all whose role it is. Where there
    are none there are no scenario fronts. Raises ValueError where the
    lengths differ or a feasible value is NaN.
    """
    points = np.asarray(values, dtype=np.float64).reshape(-1, len(directions))
    if not len(configurations) == len(points) == len(feasible):
        raise ValueError("one row of values and one feasibility per configuration are needed")

    def front_of(trials: Sequence[int]) -> tuple[int, ...]:
        able = np.array([i for i in trials if feasible[i]], dtype=np.intp)
        return tuple(int(i) for i in able[front(minimised(points[able], directions))])

    overall = front_of(range(len(configurations)))
    if scenarios is None:
        scenarios = [p.name for p in space.with_role("scenario")]
    parameters = [p for p in space if p.name in scenarios]
    if not parameters:
        return Fronts(overall, ())
    groups: dict[Configuration, list[int]] = {}
    for i, configuration in enumerate(configurations):
        scenario = {p.name: configuration[p.name] for p in parameters if p.name in configuration}
        groups.setdefault(Configuration.of(scenario), []).append(i)
    ordered = sorted(
        groups, key=lambda scenario: tuple(_rank(p, scenario.get(p.name)) for p in parameters)
    )
    return Fronts(
        overall,
        tuple(ScenarioFront(s, tuple(groups[s]), front_of(groups[s])) for s in ordered),
    )


def _rank(parameter: Parameter, value: Value | None) -> float:
    """Where a value stands among those of its parameter; before all where there is none."""
    if value is None:
        return -math.inf
    if parameter.ordered:
        return float(value)
    assert parameter.choices is not None
    return parameter.choices.index(value)
