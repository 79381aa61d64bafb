"""What a next trial of each candidate is worth, by what is sought. Pure.

All is in minimised logarithms, by the posterior means and deviations of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.ehvi import chance_undominated, ehvi, log_expected_below
from tuner.model.feasibility import LIKELY, SURE
from tuner.model.pareto import MARGIN, front, hypervolume
from tuner.model.regret import decisions, off_ideal
from tuner.model.surrogate import Posterior, Surrogate

ALIKE = 0.01
"""A point counts as on a front where it is behind it by no more than this; and so much regret is
counted of every rival that a draw prefers: there is always something left to learn."""

INTERESTING = 160
"""So many points at most are what a measurement may tell of."""

_RIVALS = 12
_DRAWS = 64
"""So many decisions are compared in so many joint draws (target `robust`)."""


@dataclass(frozen=True, eq=False)
class Interest:
    """What one wants to know.

    Rows of the candidates, and the `worth` of knowing the objectives of each for certain, both of
    shape (i,); `improvement`, shape (i,), is by how much that is expected to enlarge what is
    sought, as a share; `serving` is the worth of seeing a candidate serve, shape (n,).
    """

    rows: Indices
    worth: Floats
    improvement: Floats
    serving: Floats


def likely_reference(posterior: Posterior) -> Floats:
    """The corner behind all that likely serves; behind everything, where nothing does."""
    serving = posterior.feasible > LIKELY
    among = posterior.mean[serving] if serving.any() else posterior.mean
    corner: Floats = among.max(axis=0) + MARGIN
    return corner


def overall_gain(surrogate: Surrogate, measured: Indices) -> Floats:
    """Expected improvement of the front of what is `measured` (rows), shape (n,).

    The front is that of the posterior means, free of the luck of single measurements; the gain is a
    share of its hypervolume.
    """
    posterior = surrogate.posterior()
    reference = likely_reference(posterior)
    points = posterior.mean[measured]
    volume = hypervolume(points, reference) if len(points) else 0.0
    gain = ehvi(posterior.mean, posterior.sd, points[front(points)], reference)
    gains: Floats = gain * posterior.feasible / max(volume, MARGIN)
    return gains


def log_improvement(surrogate: Surrogate, holding: Indices) -> Floats:
    """Logarithm of the expected improvement by each candidate, up to a constant, shape (n,).

    As `overall_gain`, for objectives of any kind: `holding` are the rows of what was measured and
    holds all constraints. Before there is one, it is the chance that a candidate is one.
    """
    posterior = surrogate.posterior()
    with np.errstate(divide="ignore"):
        feasible = np.log(posterior.feasible)
        if len(holding) == 0:
            return feasible
        points = posterior.mean[holding]
        if points.shape[1] == 1:
            best = float(points.min())
            return log_expected_below(best, posterior.mean[:, 0], posterior.sd[:, 0]) + feasible
        reference = likely_reference(posterior)
        gain = np.log(ehvi(posterior.mean, posterior.sd, points[front(points)], reference))
    logarithms: Floats = gain + feasible
    return logarithms


def scenario_interest(surrogate: Surrogate) -> Interest:
    """The points that may be on a scenario's front, which is that of the posterior means.

    What is recommended for a scenario need not have been measured in it, so its front is what the
    model says of all its candidates. A point's worth is its deviation times its share of what may
    be on the front, so that every scenario counts alike: the model becomes exact where a choice is
    made, and what is recommended is as good as was promised. Only what surely serves is
    recommended, so to see any other one serve is worth what it adds to the sure ones.
    """
    candidates, posterior = surrogate.candidates, surrogate.posterior()
    worth, serving = np.zeros((2, len(candidates)))
    fronts: dict[int, tuple[Floats, Floats, float]] = {}
    for number in range(len(candidates.scenarios)):
        rows = np.flatnonzero(candidates.scenario == number)
        mean, sd, feasible = posterior.mean[rows], posterior.sd[rows], posterior.feasible[rows]
        likely, sure = mean[feasible > LIKELY], mean[feasible > SURE]
        if len(likely) == 0:
            serving[rows] = feasible
            continue
        reference = likely.max(axis=0) + MARGIN
        likely, sure = likely[front(likely)], sure[front(sure)]
        volume = max(hypervolume(likely, reference), MARGIN)
        fronts[number] = likely, reference, volume
        chance = chance_undominated(mean, sd, likely + ALIKE) * feasible
        worth[rows] = chance / chance.sum() * sd.mean(axis=1)
        unsure = feasible <= SURE
        added = ehvi(mean[unsure], np.zeros_like(sd[unsure]), sure, reference)
        serving[rows[unsure]] = added * feasible[unsure] / volume
    count = max(len(candidates.scenarios), 1)
    rows = np.argsort(-worth, kind="stable")[:INTERESTING]
    rows = rows[worth[rows] > 0]
    improvement = np.zeros(len(rows))
    for number, (likely, reference, volume) in fronts.items():
        own = np.flatnonzero(candidates.scenario[rows] == number)
        at = rows[own]
        gain = ehvi(posterior.mean[at], posterior.sd[at], likely, reference)
        improvement[own] = gain * posterior.feasible[at] / volume
    return Interest(rows, worth[rows] / count, improvement / count, serving / count)


def robust_interest(surrogate: Surrogate) -> Interest:
    """The points that decide which decision has the least worst regret (`tuner.model.regret`).

    In each of some joint draws the decision that is best there is compared with the one that is
    best by the means. What choosing the latter would lose is the worth of knowing both where their
    regret is worst, and of knowing the ideal of that scenario. In all it is the expected value of
    perfect information. Where no decision serves in every scenario, the scenarios' fronts come
    first.
    """
    candidates, posterior = surrogate.candidates, surrogate.posterior()
    table = decisions(candidates)
    rows = table.rows[(table.rows >= 0).all(axis=1)]
    rows = rows[(posterior.feasible[rows] > LIKELY).all(axis=1)]
    if len(rows) == 0:
        return scenario_interest(surrogate)
    ideals = _ideals(surrogate, rows.shape[1])
    ideal = posterior.mean[ideals, np.arange(ideals.shape[1])]
    off = off_ideal(posterior.mean[rows].swapaxes(0, 1), ideal).T
    doubt = posterior.sd[rows].max(axis=2)
    likely = np.argsort((off - doubt).max(axis=1), kind="stable")[:_RIVALS]
    current = int(np.argmin(off[likely].max(axis=1)))

    own = rows[likely]
    every, where = np.unique(np.concatenate([own.ravel(), ideals.ravel()]), return_inverse=True)
    where = where.reshape(-1)
    drawn = surrogate.draws(every, _DRAWS, np.random.default_rng(len(every)))
    points = drawn[:, where[: own.size]].reshape(_DRAWS, *own.shape, -1)
    ends = drawn[:, where[own.size :]].reshape(_DRAWS, *ideals.shape, -1).min(axis=2)
    regrets = off_ideal(points.swapaxes(1, 2), ends).swapaxes(1, 2)
    regrets = regrets - regrets.min(axis=1, keepdims=True)
    most, worst = regrets.max(axis=2), regrets.argmax(axis=2)
    best = most.argmin(axis=1)

    worth = np.zeros(len(candidates))
    draws = np.arange(_DRAWS)
    loss = (most[:, current] - most[draws, best] + ALIKE) / _DRAWS
    for decision in (best, np.full(_DRAWS, current)):
        scenario = worst[draws, decision]
        np.add.at(worth, own[decision, scenario], 0.375 * loss)
        for j in range(ideals.shape[1]):
            np.add.at(worth, ideals[scenario, j], 0.125 * loss / ideals.shape[1])
    of_interest = np.flatnonzero(worth)
    return Interest(of_interest, worth[of_interest], worth[of_interest], np.zeros(len(candidates)))


def _ideals(surrogate: Surrogate, scenarios: int) -> Indices:
    """The row with the least mean of each objective in each scenario, shape (scenarios, m)."""
    posterior = surrogate.posterior()
    ideals = np.empty((scenarios, posterior.mean.shape[1]), dtype=np.intp)
    for number in range(scenarios):
        rows = np.flatnonzero(surrogate.candidates.scenario == number)
        rows = rows[posterior.feasible[rows] > LIKELY]
        ideals[number] = rows[posterior.mean[rows].argmin(axis=0)]
    return ideals
