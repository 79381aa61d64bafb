"""A recorded grid averaged over its passes: the nearest to the truth that measuring gives."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuner.arrays import Floats, Indices, Mask
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.measure.link import FLOOR
from tuner.measure.repeatability import FEWEST_DEGREES
from tuner.model.pareto import MARGIN, front, hypervolume, logarithms, minimised
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration
from tuner.spec.study import Constraint, Objective

CLEAR_ERRORS = 3.0
CLEAR_SHARE = 0.02
"""A difference is clear that is larger than so many of its standard errors, and than this share."""


@dataclass(frozen=True, eq=False)
class Averaged:
    """n configurations with m objectives.

    `values`, shape (n, m), are means in the metrics' units, NaN where the configuration could not
    serve; `errors`, (n, m), the standard errors of their logarithms. `feasible`, (n,), also holds
    that the means keep the constraints.
    """

    configurations: tuple[Configuration, ...]
    directions: tuple[Direction, ...]
    values: Floats
    errors: Floats
    feasible: Mask

    @cached_property
    def row(self) -> dict[Configuration, int]:
        return {configuration: i for i, configuration in enumerate(self.configurations)}

    @property
    def positive(self) -> Floats:
        """The values, those that are zero as what stands for it (`FLOOR`)."""
        return np.maximum(self.values, FLOOR)

    @cached_property
    def logs(self) -> Floats:
        """Minimised logarithms, infinite where infeasible."""
        able = np.where(self.feasible[:, None], self.values, 1.0)
        logs = minimised(logarithms(able), self.directions)
        return np.where(self.feasible[:, None], logs, np.inf)

    def front(self, among: Indices) -> Indices:
        """Indices of the non-dominated feasible configurations of `among`."""
        able = among[self.feasible[among]]
        return able[front(self.logs[able])]

    def share(self, chosen: Indices, among: Indices) -> float:
        """Of the hypervolume of everything in `among`, how much the rows `chosen` have.

        On logarithmic axes, below the worst feasible values of `among`. 1 where none is feasible.
        """
        able = among[self.feasible[among]]
        if len(able) == 0:
            return 1.0
        reference = self.logs[able].max(axis=0) + MARGIN
        volume = hypervolume(self.logs[chosen], reference)
        return volume / hypervolume(self.logs[able], reference)

    def dominator(self, row: int, among: Indices) -> int | None:
        """The row of `among` that clearly dominates `row` by most; None where none does.

        It is nowhere worse, and somewhere better by more than `CLEAR_ERRORS` standard errors of the
        difference and `CLEAR_SHARE`. `row` is feasible.
        """
        able = among[self.feasible[among]]
        better = self.logs[row] - self.logs[able]
        clear = np.maximum(
            CLEAR_ERRORS * np.hypot(self.errors[row], self.errors[able]), math.log1p(CLEAR_SHARE)
        )
        gain = np.where((better >= 0).all(axis=1), (better / clear).max(axis=1), 0.0)
        if len(gain) == 0 or gain.max() <= 1:
            return None
        return int(able[gain.argmax()])


def averaged(
    table: ReplayTable,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    passes: Collection[int] | None = None,
) -> Averaged:
    """The averages of `table` over all of its passes, or over `passes` only.

    A configuration is feasible where it could serve in more than half of its trials. The errors
    come from how repeats differ within a scenario, over all passes. Where too few trials were
    repeated, they come from the trials' own intervals.
    """
    names = [o.metric for o in objectives]
    groups = {
        configuration: kept
        for configuration, trials in table.by_configuration.items()
        if (kept := [t for t in trials if passes is None or t.pass_number in passes])
    }
    noise = _noise(table, names)
    values, errors = (np.full((len(groups), len(names)), math.nan) for _ in range(2))
    feasible = np.zeros(len(groups), np.bool_)
    for i, (configuration, trials) in enumerate(groups.items()):
        measured = [t for t in trials if _has(t, names)]
        scenario = table.search_space.scenario_of(configuration)
        errors[i] = noise[scenario] / math.sqrt(max(1, len(measured)))
        if 2 * len(measured) > len(trials):
            values[i] = _values(measured, names).mean(axis=0)
            feasible[i] = all(_holds(c, measured) for c in constraints)
    directions = tuple(o.direction for o in objectives)
    return Averaged(tuple(groups), directions, values, errors, feasible)


def _has(trial: RecordedTrial, names: Iterable[str]) -> bool:
    return all(name in trial.metrics for name in names)


def _values(trials: Iterable[RecordedTrial], names: Sequence[str]) -> Floats:
    """Shape (trials, names)."""
    rows = [[t.metrics[n].value for n in names] for t in trials]
    return np.array(rows, dtype=np.float64).reshape(-1, len(names))


def _holds(constraint: Constraint, trials: Iterable[RecordedTrial]) -> bool:
    """Whether the mean keeps the constraint; False where its metric was not measured."""
    values = [t.metrics[constraint.metric].value for t in trials if constraint.metric in t.metrics]
    return bool(values) and constraint.violation(float(np.mean(values))) <= 0


def _noise(table: ReplayTable, names: Sequence[str]) -> dict[Configuration, Floats]:
    """Of each scenario the standard deviations, (m,), of a single trial's logarithms."""
    scenarios: dict[Configuration, list[list[RecordedTrial]]] = {}
    for configuration, trials in table.by_configuration.items():
        measured = [t for t in trials if _has(t, names)]
        scenarios.setdefault(table.search_space.scenario_of(configuration), []).append(measured)
    return {
        scenario: _repeated(groups, names)
        if sum(max(0, len(group) - 1) for group in groups) >= FEWEST_DEGREES
        else _stated([t for group in groups for t in group], names)
        for scenario, groups in scenarios.items()
    }


def _repeated(groups: Iterable[Sequence[RecordedTrial]], names: Sequence[str]) -> Floats:
    """Standard deviations from the repeats of each configuration, pooled over configurations."""
    logs = [logarithms(_values(group, names)) for group in groups if len(group) > 1]
    squares = np.square(np.concatenate([group - group.mean(axis=0) for group in logs]))
    sds: Floats = np.sqrt(squares.sum(axis=0) / sum(len(group) - 1 for group in logs))
    return sds


def _stated(trials: Iterable[RecordedTrial], names: Sequence[str]) -> Floats:
    """Standard deviations from the trials' own intervals; 0 for a metric without intervals."""
    errors = np.array([[t.metrics[n].relative_error for n in names] for t in trials], np.float64)
    errors = errors.reshape(-1, len(names))
    has = np.isfinite(errors)
    squares = np.where(has, np.square(errors), 0.0).sum(axis=0)
    sds: Floats = np.sqrt(squares / np.maximum(1, has.sum(axis=0)))
    return sds
