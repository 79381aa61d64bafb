"""The decision that does well in every scenario, and the one that holds the constraints in most.

A decision is what the user chooses: a configuration without its scenario.

Regret in a scenario compares a decision with that scenario's best compromise. Of a configuration,
the objective that is furthest from the best value that the scenario allows says how far it is off
(Chebyshev distance to the ideal point, in logarithms: a factor); the best compromise is least far
off; the ratio of the two less 1 is the regret. For one objective this is the usual regret. How far
a configuration is behind the front would not do: the decision that uses least CPU is at the end of
every scenario's front, so never behind one, and seldom what anybody wants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.candidates import Candidates
from tuner.model.chances import DRAWS, Chances, able_in, behind
from tuner.model.feasibility import SURE
from tuner.model.pareto import TOLERANCE
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration

_DECISIONS = 24
_RIVALS = 10
_LIKELY = 0.02
_EVEN = 0.5
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Decisions:
    """`rows`, shape (decisions, scenarios): the candidates that they mean; -1 for none."""

    decisions: tuple[Configuration, ...]
    rows: Indices


@dataclass(frozen=True)
class Robust:
    """A decision and its regrets, as shares: 0.05 means 5 % behind the best compromise.

    `regret` is the expected worst regret over all scenarios, `low` and `high` hold 95 % of the
    draws; `scenario` is where it is worst most often. `best` is the probability that no other
    decision's worst regret is lower by more than the margin. `by_scenario` has each scenario, in
    the candidates' order, with the expected regret there. `behind` is the share by which its
    objectives are behind a front (`tuner.model.chances.behind`) in the scenario where they are the
    most, in expectation. `left_out` counts the decisions that do not surely serve in every
    scenario.
    """

    decision: Configuration
    regret: float
    low: float
    high: float
    scenario: Configuration
    best: float
    by_scenario: tuple[tuple[Configuration, float], ...]
    behind: float
    left_out: int


@dataclass(frozen=True)
class Serving:
    """A decision, and in how many scenarios it serves and holds the constraints.

    `sure` counts those where it does with probability 0.9 or more, `expected` is the sum of the
    probabilities, `everywhere` the probability that it does in the scenario where it is the least
    likely. `scenarios` is how many there are.
    """

    decision: Configuration
    sure: int
    expected: float
    everywhere: float
    scenarios: int
    fails: tuple[Configuration, ...]
    """The scenarios where it is not sure."""


def decisions(candidates: Candidates) -> Decisions:
    """All decisions of the candidates, in order of appearance."""
    names = [p.name for p in candidates.space if p.name not in candidates.scenario_parameters]
    numbers: dict[Configuration, int] = {}
    owner = [numbers.setdefault(c.only(names), len(numbers)) for c in candidates.configurations]
    rows = np.full((len(numbers), len(candidates.scenarios)), -1, dtype=np.intp)
    rows[owner, candidates.scenario] = np.arange(len(candidates))
    return Decisions(tuple(numbers), rows)


def off_ideal(points: Floats, ideal: Floats) -> Floats:
    """How far points, shape (..., n, m), are off `ideal`, shape (..., m): shape (..., n)."""
    distances: Floats = (points - ideal[..., None, :]).max(axis=-1)
    return distances


def worst_regrets(surrogate: Surrogate, table: Decisions) -> tuple[Indices, Floats]:
    """The decisions that surely serve in every scenario, and the worst regret of each by the
    posterior means, as a logarithm.
    """
    everywhere = (table.rows >= 0).all(axis=1)
    posterior = surrogate.posterior()
    able = np.flatnonzero(everywhere & (posterior.feasible[table.rows] > SURE).all(axis=1))
    worst = np.zeros(len(able))
    if not len(able):
        return able, worst
    for number in range(table.rows.shape[1]):
        means = posterior.mean[_sure_rows(surrogate, number)]
        ideal = means.min(axis=0)
        own = off_ideal(posterior.mean[table.rows[able, number]], ideal)
        worst = np.maximum(worst, own - off_ideal(means, ideal).min())
    return able, worst


def minimax(
    surrogate: Surrogate,
    within: Sequence[Chances],
    *,
    margin: float = TOLERANCE,
    among: Collection[Configuration] = (),
    reserves: Callable[[Configuration], Any] = lambda _: 0,
    count: int = DRAWS,
) -> Robust | None:
    """The decision whose expected worst regret over all scenarios is least.

    `within` has each scenario's chances, in the candidates' order. A decision of `among` is taken
    where one surely serves. Of the decisions whose worst regret is, with even odds, not higher by
    more than `margin` (a logarithm), the one with the least `reserves` is taken. None where no
    decision surely serves in every scenario.
    """
    table = decisions(surrogate.candidates)
    able, worst = worst_regrets(surrogate, table)
    if not len(able) or not within:
        return None
    left_out = len(table.decisions) - len(able)
    if preferred := [i for i, row in enumerate(able) if table.decisions[row] in among]:
        able, worst = able[preferred], worst[preferred]
    likely = able[np.argsort(worst, kind="stable")[:_DECISIONS]]
    own = table.rows[likely]
    regrets, behinds = _drawn_regrets(surrogate, own, within, count)
    most = regrets.max(axis=2)
    least = int(np.argmin(most.mean(axis=0)))
    alike = np.flatnonzero((most <= most[:, [least]] + margin).mean(axis=0) >= _EVEN)
    chosen = min(
        alike.tolist(), key=lambda i: (reserves(table.decisions[likely[i]]), most[:, i].mean())
    )
    low, high = np.quantile(most[:, chosen], [0.025, 0.975])
    where = np.bincount(regrets[:, chosen].argmax(axis=1), minlength=own.shape[1]).argmax()
    return Robust(
        table.decisions[likely[chosen]],
        float(np.expm1(most[:, chosen].mean())),
        float(np.expm1(low)),
        float(np.expm1(high)),
        surrogate.candidates.scenarios[int(where)],
        float((most[:, chosen] <= most.min(axis=1) + margin + _ROUNDING).mean()),
        tuple(
            zip(
                surrogate.candidates.scenarios,
                np.expm1(regrets[:, chosen].mean(axis=0)).tolist(),
                strict=True,
            )
        ),
        float(np.expm1(behinds[:, chosen].mean(axis=0).max())),
        left_out,
    )


def _drawn_regrets(
    surrogate: Surrogate, own: Indices, within: Sequence[Chances], count: int
) -> tuple[Floats, Floats]:
    """Regrets of decisions, `own` (decisions, scenarios), by joint draws over all scenarios, and
    how far they are behind the fronts; both are logarithms of shape (count, decisions, scenarios).
    """
    rivals = [_rivals(surrogate, number, chances) for number, chances in enumerate(within)]
    rows, where = np.unique(np.concatenate([own.ravel(), *rivals]), return_inverse=True)
    where = where.reshape(-1)
    rng = np.random.default_rng([len(rows), len(own)])
    drawn = surrogate.draws(rows, count, rng)
    able = able_in(drawn, surrogate.posterior(rows).feasible, rng)
    own_at = where[: own.size].reshape(own.shape)
    regrets, behinds = np.empty((count, *own.shape)), np.empty((count, *own.shape))
    start = own.size
    for number, rival_rows in enumerate(rivals):
        at = where[start : start + len(rival_rows)]
        start += len(rival_rows)
        points = drawn[:, own_at[:, number]]
        everything = np.concatenate([able[:, at], points], axis=1)
        ideal = everything.min(axis=1)
        best = off_ideal(everything, ideal).min(axis=1, keepdims=True)
        regrets[..., number] = off_ideal(points, ideal) - best
        behinds[..., number] = behind(points, everything)
    return regrets, behinds


def _rivals(surrogate: Surrogate, number: int, chances: Chances) -> Indices:
    """Rows that may be a scenario's best: of its front, in an objective, or as compromise."""
    order = np.argsort(-chances.on_front, kind="stable")[:_RIVALS]
    likely = chances.rows[order[chances.on_front[order] > _LIKELY]]
    rows = _sure_rows(surrogate, number)
    means = surrogate.posterior(rows).mean
    ends = means.argmin(axis=0)
    compromise = off_ideal(means, means.min(axis=0)).argmin()
    return np.unique(np.concatenate([likely, rows[ends], rows[[compromise]]]))


def _sure_rows(surrogate: Surrogate, number: int) -> Indices:
    rows = np.flatnonzero(surrogate.candidates.scenario == number)
    return rows[surrogate.feasible[rows] > SURE]


def most_serving(surrogate: Surrogate) -> Serving | None:
    """The decision that serves and holds the constraints in most scenarios, by expectation.

    Of those that are within a tenth of a scenario the one with the least worst regret among the
    scenarios that it serves is taken. None without scenarios or without decisions.
    """
    candidates = surrogate.candidates
    table = decisions(candidates)
    feasible = np.where(table.rows >= 0, surrogate.posterior().feasible[table.rows], 0.0)
    if feasible.size == 0:
        return None
    expected = feasible.sum(axis=1)
    alike = np.flatnonzero(expected >= expected.max() - 0.1)
    chosen = int(alike[np.argmin(_spare_regret(surrogate, table.rows[alike], feasible[alike]))])
    sure = feasible[chosen] > SURE
    return Serving(
        table.decisions[chosen],
        int(sure.sum()),
        float(expected[chosen]),
        float(feasible[chosen].min()),
        len(sure),
        tuple(candidates.scenarios[i] for i in np.flatnonzero(~sure)),
    )


def _spare_regret(surrogate: Surrogate, rows: Indices, feasible: Floats) -> Floats:
    """Worst regret by the means over the scenarios where each decision surely serves."""
    posterior = surrogate.posterior()
    worst = np.zeros(len(rows))
    for number in range(rows.shape[1]):
        means = posterior.mean[_sure_rows(surrogate, number)]
        if not len(means):
            continue
        ideal = means.min(axis=0)
        own = off_ideal(posterior.mean[rows[:, number]], ideal)
        regret = own - off_ideal(means, ideal).min()
        worst = np.maximum(worst, np.where(feasible[:, number] > SURE, regret, 0.0))
    return worst
