"""What a next trial of each candidate is worth, by what is sought. Pure.

All is in minimised logarithms, by the posterior means and deviations of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.ehvi import chance_undominated, ehvi, log_expected_below
from tuner.model.pareto import front, hypervolume
from tuner.model.surrogate import Posterior, Surrogate

ALIKE = 0.01
"""A point counts as on a front where it is behind it by no more than this."""

MARGIN = 0.01
"""So far beyond the worst feasible logarithm lies the reference: no volume is zero."""

LIKELY, SURE = 0.5, 0.9
"""From these probabilities on something likely serves, and surely."""

INTERESTING = 160
"""So many points at most are what a measurement may tell of."""


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


def reference_of(posterior: Posterior) -> Floats:
    """The corner behind all that likely serves; behind everything, where nothing does."""
    serving = posterior.feasible > LIKELY
    among = posterior.mean[serving] if serving.any() else posterior.mean
    found: Floats = among.max(axis=0) + MARGIN
    return found


def overall_gain(surrogate: Surrogate, measured: Indices) -> Floats:
    """Expected improvement of the front of what is `measured` (rows), shape (n,).

    The front is that of the posterior means, free of the luck of single measurements; the gain is a
    share of its hypervolume.
    """
    posterior = surrogate.posterior()
    reference = reference_of(posterior)
    points = posterior.mean[measured]
    volume = hypervolume(points, reference) if len(points) else 0.0
    gain = ehvi(posterior.mean, posterior.sd, points[front(points)], reference)
    found: Floats = gain * posterior.feasible / max(volume, MARGIN)
    return found


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
        reference = reference_of(posterior)
        gain = np.log(ehvi(posterior.mean, posterior.sd, points[front(points)], reference))
    found: Floats = gain + feasible
    return found


def scenario_interest(surrogate: Surrogate) -> Interest:
    """The points that may be on a scenario's front, which is that of the posterior means.

    What is recommended for a scenario need not have been measured in it, so its front is what the
    model says of all its candidates. A point's worth is its deviation times its share of what may
    be on the front, so that every scenario counts alike: the model becomes exact where a choice is
    made, and what is recommended is as good as was promised. Only what surely serves is
    recommended, so to see any other one serve is worth what it adds to the sure ones.
    """
    candidates, posterior = surrogate.candidates, surrogate.posterior()
    worth, improvement, serving = np.zeros((3, len(candidates)))
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
        chance = chance_undominated(mean, sd, likely + ALIKE) * feasible
        worth[rows] = chance / chance.sum() * sd.mean(axis=1)
        improvement[rows] = ehvi(mean, sd, likely, reference) * feasible / volume
        added = ehvi(mean, np.zeros_like(sd), sure, reference) * feasible / volume
        serving[rows] = np.where(feasible > SURE, 0.0, added)
    count = max(len(candidates.scenarios), 1)
    rows = np.argsort(-worth, kind="stable")[:INTERESTING]
    rows = rows[worth[rows] > 0]
    return Interest(rows, worth[rows] / count, improvement[rows] / count, serving / count)
