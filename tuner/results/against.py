"""A study compared with a recorded grid: pure functions of both.

What the study found is valued by what the grid says of it, averaged over its passes, so that a
lucky burst of the study earns nothing. The grid itself is noisy: what a single pass of it scores
against the others is the most that a search could be asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from tuner.arrays import Indices
from tuner.backends.replay_table import ReplayTable
from tuner.errors import InputError
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.measure.statistics import mean
from tuner.model.fronts import fronts
from tuner.results.averaged import Averaged, averaged
from tuner.results.findings import find
from tuner.results.summary import summarise
from tuner.spec.space import Configuration

# History of the format of `Comparison.to_json`: 1 (first); 2 says `predicted_front` and
# `scenarios_predicted` where 1 said `recommended` and `scenarios_recommended`.
FORMAT = 2


@dataclass(frozen=True)
class Dominated:
    """A point of a front that the grid clearly dominates (`Averaged.dominator`).

    `factors` are its objectives as multiples of those of the configuration `by`, in order.
    """

    configuration: Configuration
    by: Configuration
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """A front valued by the grid.

    `share` is its part of the hypervolume of the grid's own front, on logarithmic axes.
    `infeasible` are points that could not serve, or broke a constraint, in the grid.
    """

    points: int
    share: float
    infeasible: tuple[Configuration, ...]
    dominated: tuple[Dominated, ...]


@dataclass(frozen=True)
class Scope:
    """Everything, or one scenario: what the study measured there and what its front is worth.

    `grid_front` counts the points of the grid's own front. `predicted_front` judges what the
    study's model predicts to be on it, measured there or not; None where the study has no model
    yet. `passes` are the fronts of each single pass, valued by all the others; empty where there
    are fewer than two.
    """

    scenario: Configuration | None
    trials: int
    grid_front: int
    study: Judged
    predicted_front: Judged | None
    passes: tuple[Judged, ...]


@dataclass(frozen=True)
class Comparison:
    """A study against a grid; the first of `scopes` is overall.

    `configurations` are those of the grid that are in the study's search space, `outside` those of
    the study that the grid does not have: their trials cost, but count for no front. `seconds` are
    those of all the study's trials, `grid_seconds` those of one pass ordered by deployment; None
    where one of them was simulated, which takes no time worth telling. `ratios` are the study's
    measurements as multiples of the grid's, by objective: off 1 where the host has changed.
    """

    study: str
    grid: str
    recorded: tuple[str, str] | None
    grid_backend: str
    passes: int
    configurations: int
    trials: int
    outside: int
    seconds: float | None
    grid_seconds: float | None
    ratios: dict[str, Estimate]
    scopes: tuple[Scope, ...]

    @property
    def trials_share(self) -> float:
        """Of the trials of one pass."""
        return self.trials / self.configurations

    @property
    def cost_share(self) -> float | None:
        """Of the seconds of one pass."""
        if self.seconds is None or not self.grid_seconds:
            return None
        return self.seconds / self.grid_seconds

    @property
    def scenarios_share(self) -> float | None:
        """The mean over scenarios of the hypervolume's share; None without scenarios."""
        shares = [scope.study.share for scope in self.scopes if scope.scenario is not None]
        return fmean(shares) if shares else None

    @property
    def scenarios_predicted(self) -> float | None:
        """The same of the predicted fronts; None without scenarios or a model."""
        inner = [s.predicted_front for s in self.scopes if s.scenario is not None]
        shares = [judged.share for judged in inner if judged is not None]
        return fmean(shares) if shares else None

    @property
    def scenarios_passes(self) -> tuple[float, ...]:
        """The same of each single pass."""
        inner = [scope.passes for scope in self.scopes if scope.scenario is not None]
        return tuple(fmean(j.share for j in one_pass) for one_pass in zip(*inner, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON-able data."""
        document = asdict(self)
        for entry, scope in zip(document["scopes"], self.scopes, strict=True):
            entry["scenario"] = None if scope.scenario is None else dict(scope.scenario)
            parts = [entry["study"], entry["predicted_front"], *entry["passes"]]
            pairs = zip(parts, [scope.study, scope.predicted_front, *scope.passes], strict=True)
            for part, judged in pairs:
                if judged is None:
                    continue
                part["infeasible"] = [dict(c) for c in judged.infeasible]
                for beaten, point in zip(part["dominated"], judged.dominated, strict=True):
                    beaten["configuration"] = dict(point.configuration)
                    beaten["by"] = dict(point.by)
        return {
            "format": FORMAT,
            **document,
            "trials_share": self.trials_share,
            "cost_share": self.cost_share,
            "scenarios_share": self.scenarios_share,
            "scenarios_predicted": self.scenarios_predicted,
            "scenarios_passes": list(self.scenarios_passes),
        }


def against(study: StudyRecord, table: ReplayTable) -> Comparison:
    """`study` against the part of `table` that is in its search space.

    Objectives, constraints and roles are the study's. Raises InputError where the grid has no part
    in the search space or lacks an objective.
    """
    grid = table.inside(study.search_space)
    metrics = {name for t in grid.trials for name in t.metrics}
    if missing := [o.metric for o in study.objectives if o.metric not in metrics]:
        raise InputError(
            f"the grid {table.study} cannot be compared with study {study.name!r}: it has no"
            f" configuration of its search space with {', '.join(missing)}",
            "compare with a grid of the same parameters, values and objectives",
        )
    truth = averaged(grid, study.objectives, study.constraints)
    within = fronts(
        study.search_space,
        truth.configurations,
        truth.values,
        truth.feasible.tolist(),
        truth.directions,
        study.scenario_parameters,
    )
    scenarios: dict[Configuration | None, Sequence[int]] = {None: range(len(truth.configurations))}
    scenarios |= {part.scenario: part.trials for part in within.scenarios}
    summary = summarise(study)
    study_fronts: dict[Configuration | None, Sequence[TrialRecord]] = {None: summary.front}
    study_fronts |= {scenario.scenario: scenario.front for scenario in summary.scenarios}
    model = find(study)
    fronts_of = () if model is None else (model.overall, *model.scenarios)
    advised = {f.scenario: [p.configuration for p in f.predicted_front] for f in fronts_of}
    measured = Counter(study.scenario_of(t.configuration) for t in study.trials)
    halves = _halves(study, grid)
    scopes = []
    for scenario, numbers in scenarios.items():
        among = np.array(numbers, dtype=np.intp)
        scopes.append(
            Scope(
                scenario,
                len(study.trials) if scenario is None else measured[scenario],
                len(truth.front(among)),
                _judged(truth, among, [t.configuration for t in study_fronts.get(scenario, ())]),
                None if model is None else _judged(truth, among, advised.get(scenario, ())),
                tuple(
                    _pass([truth.configurations[i] for i in numbers], single_pass, others)
                    for single_pass, others in halves
                ),
            )
        )
    tried = {t.configuration for t in study.trials}
    simulated = "simulated" in {
        str(table.environment.get("backend")),
        *(t.backend for t in study.trials),
    }
    seconds = sum(t.seconds for t in study.trials)
    seconds += sum(f.record.seconds for f in study.failed if f.record is not None)
    return Comparison(
        study=study.name,
        grid=table.study,
        recorded=table.recorded,
        grid_backend=str(table.environment.get("backend", "")),
        passes=len(grid.passes),
        configurations=len(truth.configurations),
        trials=len(study.trials),
        outside=len(tried - truth.row.keys()),
        seconds=None if simulated else seconds,
        grid_seconds=None if simulated else grid.ordered_seconds,
        ratios=_ratios(study, truth),
        scopes=tuple(scopes),
    )


def _halves(study: StudyRecord, grid: ReplayTable) -> list[tuple[Averaged, Averaged]]:
    """Each pass of the grid, paired with the average of all other passes."""
    if len(grid.passes) < 2:
        return []
    every = {t.pass_number for t in grid.trials}

    def of(passes: Iterable[int]) -> Averaged:
        return averaged(grid, study.objectives, study.constraints, set(passes))

    return [(of({number}), of(every - {number})) for number in grid.passes]


def _pass(among: Sequence[Configuration], single_pass: Averaged, others: Averaged) -> Judged:
    """The front of a single pass `among` these configurations, judged by the other passes."""
    mine, theirs = (
        np.array([of.row[c] for c in among], dtype=np.intp) for of in (single_pass, others)
    )
    return _judged(others, theirs, [single_pass.configurations[i] for i in single_pass.front(mine)])


def _judged(truth: Averaged, among: Indices, front: Iterable[Configuration]) -> Judged:
    configurations = [c for c in dict.fromkeys(front) if c in truth.row]
    rows = np.array([truth.row[c] for c in configurations], dtype=np.intp)
    able = rows[truth.feasible[rows]]
    return Judged(
        points=len(configurations),
        share=truth.share(able, among),
        infeasible=tuple(c for c in configurations if not truth.feasible[truth.row[c]]),
        dominated=tuple(
            Dominated(
                truth.configurations[row],
                truth.configurations[by],
                tuple((truth.positive[row] / truth.positive[by]).tolist()),
            )
            for row in able
            if (by := truth.dominator(int(row), among)) is not None
        ),
    )


def _ratios(study: StudyRecord, truth: Averaged) -> dict[str, Estimate]:
    """The geometric mean of each metric's ratio, study to grid, with Student's t interval.

    It is taken over the configurations that both measured.
    """
    logs: dict[str, dict[Configuration, list[float]]] = {o.metric: {} for o in study.objectives}
    for trial in study.trials:
        row = truth.row.get(trial.configuration)
        if row is None or trial.measurement is None or trial.cut_short:
            continue
        values = zip(logs.values(), truth.values[row], trial.values, strict=True)
        for by_configuration, expected, value in values:
            if expected > 0 and value > 0:
                by_configuration.setdefault(trial.configuration, []).append(
                    math.log(value / expected)
                )
    return {
        metric: _exponential(
            mean([float(np.mean(log_ratios)) for log_ratios in by_configuration.values()])
        )
        for metric, by_configuration in logs.items()
        if by_configuration
    }


def _exponential(of: Estimate) -> Estimate:
    def up(value: float | None) -> float | None:
        return None if value is None else math.exp(value)

    return Estimate(math.exp(of.value), up(of.low), up(of.high))
