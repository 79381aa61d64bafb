"""What a search has found, judged by the truth. Pure.

Two questions. The overall front: after how many trials has what was evaluated 95 % of the true
front's hypervolume? All scenarios: what are six configurations worth that are recommended for each
scenario, and are they what was promised?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.search_truth import Problem
from tuner.arrays import Floats, Indices
from tuner.model.pareto import MARGIN, TOLERANCE, front, logarithms
from tuner.model.surrogate import Surrogate
from tuner.results.predicted_front import predicted_front, spread

SIX = 6
MISSED = math.log(1.10)
"""A service level is missed where ART exceeds it by more than this."""
LEVELS = 10
"""Service levels asked for in each scenario."""


@dataclass(frozen=True)
class Answer:
    """What is recommended for one scenario: rows of the problem and the values predicted there.

    Shapes (k,) and (k, m); k is 0 where nothing is.
    """

    scenario: int
    rows: Indices
    predicted: Floats


@dataclass(frozen=True)
class Marks:
    """How good the answers for all scenarios are.

    `hypervolume`: share of each scenario's front that the recommended points have, the mean over
    the scenarios in which anything is feasible. `precision`: share of all recommended points that
    no other configuration of their scenario beats by more than 2 % in every objective. `art_error`:
    their median |log(predicted / true)| of ART. `broken`: share of them whose ART is more than 10 %
    above what was predicted of it, or that cannot serve at all.

    `missed` asks as a user would, for ten service levels per scenario: ARTs spread evenly, on a
    logarithmic axis, over the scenario's true front. Each time the recommended point is taken that
    has the least second objective among those predicted to hold the level. It is the share of
    those taken whose ART is more than 10 % above the level, or that cannot serve at all. Where
    none is predicted to hold a level nothing is promised, which `hypervolume` accounts for.

    Shares of nothing are NaN.
    """

    hypervolume: float
    precision: float
    missed: float
    broken: float
    art_error: float


def marks(problem: Problem, answers: Sequence[Answer]) -> Marks:
    """`answers` has at most one per scenario; without one a scenario counts as not covered."""
    shares = dict.fromkeys(np.unique(problem.scenario[problem.feasible]).tolist(), 0.0)
    good: list[bool] = []
    errors: list[float] = []
    missed: list[bool] = []
    for answer in answers:
        within = problem.scenario == answer.scenario
        if answer.scenario in shares:
            shares[answer.scenario] = problem.hypervolume(answer.rows, within)
        rivals = problem.logs[problem.front(within)]
        for row, predicted in zip(answer.rows, answer.predicted, strict=True):
            lead = (problem.logs[row] - rivals).min(axis=1)
            good.append(bool(problem.feasible[row]) and not (lead > TOLERANCE).any())
            errors.append(float(problem.logs[row, 0] - np.log(predicted[0])))
        missed += _missed(problem.logs[answer.rows], np.log(answer.predicted), rivals)
    served = [abs(e) for e in errors if math.isfinite(e)]
    return Marks(
        hypervolume=float(np.mean(list(shares.values()))),
        precision=float(np.mean(good)) if good else math.nan,
        missed=float(np.mean(missed)) if missed else math.nan,
        broken=float(np.mean(np.array(errors) > MISSED)) if errors else math.nan,
        art_error=float(np.median(served)) if served else math.nan,
    )


def _missed(true: Floats, predicted: Floats, rivals: Floats) -> list[bool]:
    """For each level that a point is taken for: is it missed? All are logarithms, (k, m)."""
    found = []
    if len(rivals):
        for level in np.linspace(rivals[:, 0].min(), rivals[:, 0].max(), LEVELS):
            holding = np.flatnonzero(predicted[:, 0] <= level)
            if len(holding):
                taken = holding[np.argmin(predicted[holding, 1])]
                found.append(bool(true[taken, 0] > level + MISSED))
    return found


def curve(problem: Problem, rows: npt.ArrayLike) -> Floats:
    """Share of the overall front's hypervolume after each trial; shape (n,)."""
    return _growing(problem, np.asarray(rows, dtype=np.intp), np.zeros(len(problem.truth), np.intp))


def levels_curve(problem: Problem, rows: npt.ArrayLike, parameter: str = "loss") -> Floats:
    """The least share that any level of `parameter` has of its own front, after each trial."""
    return _growing(problem, np.asarray(rows, dtype=np.intp), problem.by(parameter))


def _growing(problem: Problem, rows: Indices, groups: Indices) -> Floats:
    """The least share among groups after each of `rows`; shape (n,)."""
    able = problem.feasible
    shares = {g: 0.0 for g in range(int(groups.max()) + 1) if able[groups == g].any()}
    masks = {g: groups == g for g in shares}
    found = np.empty(len(rows))
    for n, row in enumerate(rows):
        group = int(groups[row])
        # Only what is not dominated by the same group's own earlier points adds anything.
        if able[row] and row not in rows[:n]:
            shares[group] = problem.hypervolume(rows[: n + 1], masks[group])
        found[n] = min(shares.values())
    return found


def reached(curve: Floats, share: float) -> int | None:
    """The number of trials, from 1, after which the curve has `share`; None: never."""
    there = np.flatnonzero(curve >= share)
    return int(there[0]) + 1 if len(there) else None


def answers_from_values(
    problem: Problem, rows: npt.ArrayLike, values: npt.ArrayLike
) -> list[Answer]:
    """Six per scenario from measured values as they are: what a table of results recommends.

    `values` has shape (n, m), NaN where infeasible; of a configuration that was measured more than
    once the geometric mean counts.
    """
    logs: dict[int, list[Floats]] = {}
    measured = np.asarray(values, dtype=np.float64)
    for row, value in zip(np.asarray(rows, dtype=np.intp).tolist(), measured, strict=True):
        if np.isfinite(value).all():
            logs.setdefault(row, []).append(logarithms(value))
    found = []
    for scenario in range(len(problem.scenarios)):
        known = np.array([r for r in logs if problem.scenario[r] == scenario], dtype=np.intp)
        if len(known):
            means = np.array([np.mean(logs[r], axis=0) for r in known.tolist()])
            reference = means.max(axis=0) + MARGIN
            best = front(means)
            picks = best[spread(means[best], reference, SIX)]
            found.append(Answer(scenario, known[picks], np.exp(means[picks])))
    return found


def answers_from_model(problem: Problem, surrogate: Surrogate) -> list[Answer]:
    """Six per scenario as `tune show` recommends them, from the model's posterior means."""
    found = []
    for number, scenario in enumerate(problem.scenarios):
        points = predicted_front(surrogate, scenario, limit=SIX)
        rows = [problem.lattice.index(p.configuration) for p in points]
        predicted = np.array([p.values for p in points]).reshape(len(points), len(problem.metrics))
        found.append(Answer(number, np.array(rows, dtype=np.intp), predicted))
    return found


def measured_grid(
    problem: Problem, passes: int, rng: np.random.Generator
) -> tuple[Indices, Floats]:
    """Every configuration measured `passes` times: rows, shape (p n,), and values, (p n, m)."""
    rows = np.tile(np.arange(len(problem.truth)), passes)
    return rows, np.array([_values(problem, int(row), rng) for row in rows])


def _values(problem: Problem, row: int, rng: np.random.Generator) -> Floats:
    measured = problem.measure(row, rng)
    return np.full(len(problem.metrics), np.nan) if measured is None else measured.values


def reported_front(problem: Problem, rows: Indices, values: Floats) -> tuple[float, float]:
    """Of the front that measured values say: its true hypervolume, and the share truly on it.

    `values` has one row per row of the problem, NaN where infeasible.
    """
    able = np.flatnonzero(np.isfinite(values).all(axis=1))
    said = rows[able[front(logarithms(values[able]))]]
    return problem.hypervolume(said), float(np.mean(np.isin(said, problem.front())))
