"""What is to be known to find the decision whose worst scenario is least behind. Pure."""

from __future__ import annotations

import numpy as np

from tuner.arrays import Indices
from tuner.model.acquisition import LIKELY, Interest, scenario_interest
from tuner.model.regret import decisions, off_ideal
from tuner.model.surrogate import Surrogate

_RIVALS = 12
_DRAWS = 64
_ALIKE = 0.01
"""So much regret is counted of every rival that a draw prefers: there is always something left."""


def robust_interest(surrogate: Surrogate) -> Interest:
    """The points that decide which decision has the least worst regret (`tuner.model.regret`).

    In each of some joint draws the decision that is best there is compared with the one that is
    best by the means. What choosing the latter would lose is the worth of knowing both where their
    regret is worst, and of knowing the ideal of that scenario. In all it is the expected value of
    perfect information. Where no decision serves in every scenario, the scenarios' fronts come
    first.
    """
    candidates, posterior = surrogate.candidates, surrogate.posterior()
    known = decisions(candidates)
    rows = known.rows[(known.rows >= 0).all(axis=1)]
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
    loss = (most[:, current] - most[draws, best] + _ALIKE) / _DRAWS
    for decision in (best, np.full(_DRAWS, current)):
        scenario = worst[draws, decision]
        np.add.at(worth, own[decision, scenario], 0.375 * loss)
        for j in range(ideals.shape[1]):
            np.add.at(worth, ideals[scenario, j], 0.125 * loss / ideals.shape[1])
    found = np.flatnonzero(worth)
    return Interest(found, worth[found], worth[found], np.zeros(len(candidates)))


def _ideals(surrogate: Surrogate, scenarios: int) -> Indices:
    """The row with the least mean of each objective in each scenario, shape (scenarios, m)."""
    posterior = surrogate.posterior()
    found = np.empty((scenarios, posterior.mean.shape[1]), dtype=np.intp)
    for number in range(scenarios):
        rows = np.flatnonzero(surrogate.candidates.scenario == number)
        rows = rows[posterior.feasible[rows] > LIKELY]
        found[number] = rows[posterior.mean[rows].argmin(axis=0)]
    return found
