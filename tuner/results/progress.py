"""How the front grew: its hypervolume after each trial.

Hypervolume is that of `tuner.results.averaged`: on logarithmic axes, below a reference point 1 %
beyond the worst feasible values. A configuration counts from the first of its bursts that was
measured to the end, with what all its bursts together say of it; so the curve never falls, and
ends at the front that is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tuner.arrays import Counts, Floats
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.initial_design import initial_trials, starts
from tuner.model.pareto import MARGIN, hypervolume, in_units
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.results.timeline import Timeline
from tuner.spec.space import Configuration
from tuner.spec.study import SearchSpec

Kind = Literal["start", "proposed", "again", "grid"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Why a trial was made: to start with; as the sampler proposed it; to measure a configuration once
more; as a point of a full grid."""


@dataclass(frozen=True, eq=False)
class Progress:
    """After each of n finished trials, by number; all arrays have shape (n,).

    `seconds` is when it was over, on the timeline's clock. `overall` is the hypervolume of the
    overall front as a share of the final one, `scenarios` the mean of that over the fronts of all
    `fronts` scenarios where something is feasible; empty where there are no scenario parameters.
    Both ascend to 1. `reference` is the overall one in the metrics' units, (m,). `last` is the row
    of the trial that found the last point of the final overall front, `last_scenario` of the last
    point of any scenario's front.
    """

    numbers: Counts
    seconds: Floats
    overall: Floats
    scenarios: Floats
    kinds: tuple[Kind, ...]
    fronts: int
    reference: Floats
    last: int
    last_scenario: int | None

    def reached(self, share: float) -> int:
        """The row of the first trial after which the overall front has this share, at most 1."""
        return int(np.argmax(self.overall >= share - 1e-12))


def search_progress(study: StudyRecord, summary: Summary, clock: Timeline) -> Progress | None:
    """None where nothing feasible was measured to the end."""
    able = [p for p in summary.pooled.values() if p.eligible]
    if not able:
        return None
    trials = sorted(study.trials, key=lambda t: t.number)
    row = {t.number: i for i, t in enumerate(trials)}
    overall = _shares(able, row)
    groups = _by_scenario(study, able)
    courses = [_shares(group, row) for group in groups]
    scenario_fronts = [t for s in summary.scenarios for t in s.front]
    return Progress(
        np.array([t.number for t in trials], dtype=np.int64),
        _ends(trials, clock),
        overall,
        np.mean(courses, axis=0) if courses else np.empty(0),
        trial_kinds(study),
        len(groups),
        in_units(
            _reference(able),
            [o.metric for o in study.objectives],
            [o.direction for o in study.objectives],
        ),
        _latest(summary, summary.front, row),
        _latest(summary, scenario_fronts, row) if scenario_fronts else None,
    )


def course(points: Floats, reference: Floats) -> Floats:
    """The hypervolume, shape (n,), of the first points of `points`, (n, m): of one, of two, ...

    Each point adds the part of its box that no earlier point dominates. Only the front so far is
    looked at.
    """
    volumes = np.zeros(len(points))
    front, total = np.empty((0, len(reference))), 0.0
    for i, point in enumerate(points):
        if (point < reference).all() and not (front <= point).all(axis=1).any():
            box = float(np.prod(reference - point))
            total += max(0.0, box - hypervolume(np.maximum(front, point), reference))
            front = np.concatenate([front[~(front >= point).all(axis=1)], [point]])
        volumes[i] = total
    return volumes


def trial_kinds(study: StudyRecord) -> tuple[Kind, ...]:
    """Why each trial was made, by number.

    Only `bayes` records a reason with its proposals. With other samplers, every trial that is not
    a start configuration counts as proposed.
    """
    starts = _starts(study)
    seen: set[Configuration] = set()
    kinds: list[Kind] = []
    for trial in sorted(study.trials, key=lambda t: t.number):
        if trial.grid_pass is not None:
            kinds.append("grid")
        elif trial.configuration in seen:
            kinds.append("again")
        elif "acquisition" in trial.why or (starts and trial.configuration not in starts):
            kinds.append("proposed")
        else:
            kinds.append("start")
        seen.add(trial.configuration)
    return tuple(kinds)


def _starts(study: StudyRecord) -> frozenset[Configuration]:
    """What a study starts with; empty where it is not needed, or not known."""
    specified: Mapping[str, Mapping[str, object]] = study.specification
    if "search" not in specified or "budget" not in specified:
        return frozenset()
    search = SearchSpec(**study.specification["search"])
    if search.sampler == "bayes":
        return frozenset()
    count = initial_trials(study.specification["budget"].get("trials"))
    seed = int(study.specification.get("seed", 0))
    return frozenset(starts(study.search_space, count, seed, search))


def _ends(trials: Sequence[TrialRecord], clock: Timeline) -> Floats:
    """When so many trials were over; one of no known time was over with the one before."""
    ends = np.array([clock.end.get(t.number, 0.0) for t in trials])
    return np.maximum.accumulate(ends)


def _by_scenario(study: StudyRecord, able: Sequence[Pooled]) -> list[list[Pooled]]:
    if not study.scenario_parameters:
        return []
    groups: dict[Configuration, list[Pooled]] = {}
    for pooled in able:
        groups.setdefault(study.scenario_of(pooled.configuration), []).append(pooled)
    return list(groups.values())


def _reference(able: Sequence[Pooled]) -> Floats:
    corner: Floats = np.array([p.mean for p in able]).max(axis=0) + MARGIN
    return corner


def _shares(able: Sequence[Pooled], row: Mapping[int, int]) -> Floats:
    """The share of the final hypervolume that is reached after each trial, shape (trials,)."""
    arrivals = sorted(able, key=_first)
    volumes = course(np.array([p.mean for p in arrivals]), _reference(able))
    shares = np.zeros(len(row))
    shares[[row[_first(p)] for p in arrivals]] = volumes / volumes[-1]
    return np.maximum.accumulate(shares)


def _first(pooled: Pooled) -> int:
    """The number of the first trial that measured a configuration to the end."""
    return min(t.number for t in pooled.bursts)


def _latest(summary: Summary, front: Iterable[TrialRecord], row: Mapping[int, int]) -> int:
    return max(row[_first(summary.pooled[t.number])] for t in front)
