"""The front of a study as it is drawn: every configuration with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.pareto import front, minimised
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.spec.space import Configuration
from tuner.spec.study import Objective

Place = Literal["front", "dominated", "unstable", "cut short", "infeasible", "invalid"]
"""`unstable`: its bursts do not agree. `cut short`: no burst of it was measured to the end.
`infeasible`: it was measured, and breaks a constraint or could not always serve. `invalid`: it was
measured and cannot be trusted, so its trial failed."""


@dataclass(frozen=True)
class PlacedConfiguration:
    """A configuration where it was measured.

    `trial` is the number of the trial that stands for it, `trials` has all of them. `estimates` are
    its objectives in the study's order and their units, with 95 % intervals where they are known:
    the averages of the bursts that were measured to the end, where there are some. `note` says what
    its place does not.
    """

    trial: int
    trials: tuple[int, ...]
    configuration: Configuration
    place: Place
    estimates: tuple[Estimate, ...]
    note: str

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(e.value for e in self.estimates)


@dataclass(frozen=True)
class Unserved:
    """A configuration that could not serve: nothing of it was measured."""

    trials: tuple[int, ...]
    configuration: Configuration
    reason: str
    detail: str


@dataclass(frozen=True)
class FrontData:
    """Every configuration of a study, in the order of its first trial, those that failed last.
    `recommended` has one for each scenario that has something feasible.

    `bursts` has number and values of each single burst of configurations with several.
    """

    points: tuple[PlacedConfiguration, ...]
    unserved: tuple[Unserved, ...]
    bursts: tuple[tuple[int, tuple[float, ...]], ...]
    baseline: PlacedConfiguration | None
    recommended: tuple[PlacedConfiguration, ...]

    def at(self, place: Place) -> tuple[PlacedConfiguration, ...]:
        return tuple(p for p in self.points if p.place == place)


def front_data(study: StudyRecord, summary: Summary) -> FrontData:
    """The overall front, and every other configuration that was measured."""
    on_front = {t.configuration for t in summary.front}
    configurations = list(summary.pooled.values())
    points = [
        p for pooled in configurations if (p := point_of(study, pooled, on_front)) is not None
    ]
    placed = {p.configuration: p for p in points}
    invalid = [
        _invalid(study, f.record)
        for f in study.failed
        if f.record is not None and f.record.measurement is not None
    ]
    baseline, chosen = study.baseline, summary.recommendations.values()
    return FrontData(
        (*points, *invalid),
        tuple(_unserved(pooled) for pooled in configurations if pooled.configuration not in placed),
        tuple((t.number, t.values) for p in configurations if len(p.bursts) > 1 for t in p.bursts),
        None if baseline is None else placed[baseline.configuration],
        tuple(placed[r.configuration] for r in chosen),
    )


def boundary(
    points: Iterable[PlacedConfiguration], objectives: Sequence[Objective], pair: tuple[int, int]
) -> tuple[PlacedConfiguration, ...]:
    """Those on a front of `points` that are non-dominated in two of their objectives alone, from
    the best in the first of them to the best in the second.
    """
    able = [p for p in points if p.place == "front"]
    directions = [objectives[i].direction for i in pair]
    values = np.array([[p.values[i] for i in pair] for p in able]).reshape(-1, 2)
    return tuple(able[i] for i in front(minimised(values, directions)))


def infeasible_by_reason(study: StudyRecord) -> dict[str, tuple[TrialRecord, ...]]:
    """The trials that could not serve or broke a constraint, the most frequent reason first."""
    reasons: dict[str, list[TrialRecord]] = {}
    for trial in study.trials:
        if not trial.feasible:
            broken = [text for text, v in trial.violations.items() if v > 0]
            reasons.setdefault(trial.reason or f"breaks {', '.join(broken)}", []).append(trial)
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    return {reason: tuple(trials) for reason, trials in ordered}


def point_of(
    study: StudyRecord, pooled: Pooled, on_front: set[Configuration]
) -> PlacedConfiguration | None:
    """The point of a configuration; None where nothing of it was measured.

    A value that stands in for a measurement is not drawn.
    """
    if pooled.bursts:
        chosen = pooled.representative
        estimates = tuple(pooled.estimate(i) for i in range(len(study.objectives)))
    else:
        measured = [t for t in pooled.trials if not t.imputed]
        if not measured:
            return None
        chosen = measured[-1]
        estimates = _estimates(study, chosen)
    numbers = tuple(t.number for t in pooled.trials)
    notes = [
        _verdict(chosen),
        pooled.infeasible,
        pooled.unstable,
        "" if pooled.bursts else chosen.cut_short,
    ]
    if study.drift(chosen) is not None:
        notes.append("the host had drifted")
    return PlacedConfiguration(
        chosen.number,
        numbers,
        pooled.configuration,
        _place(pooled, on_front),
        estimates,
        "; ".join(filter(None, notes)),
    )


def _place(pooled: Pooled, on_front: set[Configuration]) -> Place:
    if pooled.infeasible:
        return "infeasible"
    if not pooled.bursts:
        return "cut short"
    if pooled.unstable:
        return "unstable"
    return "front" if pooled.configuration in on_front else "dominated"


def _invalid(study: StudyRecord, trial: TrialRecord) -> PlacedConfiguration:
    note = f"INVALID: {trial.reason}" if trial.reason else "INVALID"
    estimates = _estimates(study, trial)
    return PlacedConfiguration(
        trial.number, (trial.number,), trial.configuration, "invalid", estimates, note
    )


def _estimates(study: StudyRecord, trial: TrialRecord) -> tuple[Estimate, ...]:
    """A single trial's objectives, as they are stated."""
    return tuple(
        study.estimate(trial, o.metric) or Estimate(value)
        for o, value in zip(study.objectives, trial.values, strict=True)
    )


def _verdict(trial: TrialRecord) -> str:
    return trial.measurement.verdict if trial.measurement is not None else ""


def _unserved(pooled: Pooled) -> Unserved:
    last = pooled.trials[-1]
    numbers = tuple(t.number for t in pooled.trials)
    return Unserved(numbers, pooled.configuration, pooled.infeasible or last.reason, last.detail)
