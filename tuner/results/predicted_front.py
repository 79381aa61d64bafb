"""The predicted front: what the model of a study thinks is on a front.

A measured front prefers what was measured by luck better than it is; the means of the model do so
far less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.measurement import Z
from tuner.model.chances import Chances, chances, reference_of
from tuner.model.feasibility import SURE
from tuner.model.pareto import TOLERANCE, front, hypervolume, in_units
from tuner.model.rays import Rays
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration

LIMIT = 6

_LEAST_GAIN = 0.002
"""What adds less than this share of the hypervolume is next to one that is chosen already."""


@dataclass(frozen=True)
class Predicted:
    """What the model says of a configuration.

    `values` are the objectives in their units, `low` and `high` the 95 % interval of what many
    bursts would give on average. `on_front` is the probability that it is on the front asked for
    (`tuner.model.chances`), `feasible` that it serves and holds the constraints. `row` is its
    number among the model's candidates.
    """

    configuration: Configuration
    row: int
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    on_front: float
    feasible: float


def rows_of(surrogate: Surrogate, scenario: Configuration | None) -> Indices:
    """The rows of a scenario's candidates, of all where None; empty for an unknown scenario."""
    candidates = surrogate.candidates
    if scenario is None:
        return np.arange(len(candidates))
    numbers = {s: i for i, s in enumerate(candidates.scenarios)}
    return np.flatnonzero(candidates.scenario == numbers.get(scenario, -1))


def predicted_front(
    surrogate: Surrogate,
    scenario: Configuration | None,
    limit: int = LIMIT,
    within: Chances | None = None,
) -> tuple[Predicted, ...]:
    """At most `limit` configurations of `scenario` (of all where None), by the first objective.

    Only configurations that are feasible with probability `SURE` take part. From the front of
    their posterior means, the one that adds most hypervolume (on logarithmic axes) is taken first,
    then the next, and so on. Each is then replaced by the best known one (least sd, surest to
    serve) of those that are as good to 2 % in every objective. The result is shorter where the
    front has fewer that differ. `within` saves time where the scenario's chances were computed.
    """
    rows = rows_of(surrogate, scenario)
    posterior = surrogate.posterior(rows)
    sure = np.flatnonzero(posterior.feasible > SURE)
    best = sure[front(posterior.mean[sure])]
    picks = best[spread(posterior.mean[best], reference_of(posterior), limit)]
    means = posterior.mean[sure]
    doubt = posterior.sd[sure].sum(axis=1) - np.log(posterior.feasible[sure])
    alike = (means[None] <= posterior.mean[picks, None] + TOLERANCE).all(axis=2)
    picks = sure[np.where(alike, doubt, np.inf).argmin(axis=1)] if len(picks) else picks
    picks = np.array(list(dict.fromkeys(picks.tolist())), dtype=np.intp)
    return predicted(surrogate, rows[picks], within or chances(surrogate, rows))


def predicted(
    surrogate: Surrogate, rows: Sequence[int] | Indices, within: Chances
) -> tuple[Predicted, ...]:
    """What the model says of these rows of its candidates."""
    numbers = np.asarray(rows, dtype=np.intp)
    posterior = surrogate.posterior(numbers)
    ends = [
        in_units(posterior.mean + z * posterior.sd, surrogate.metrics, surrogate.directions)
        for z in (-Z, 0.0, Z)
    ]
    low, values, high = np.minimum(ends[0], ends[2]), ends[1], np.maximum(ends[0], ends[2])
    return tuple(
        Predicted(
            surrogate.candidates.configurations[row],
            int(row),
            tuple(values[i].tolist()),
            tuple(low[i].tolist()),
            tuple(high[i].tolist()),
            within.of(int(row)),
            float(posterior.feasible[i]),
        )
        for i, row in enumerate(numbers)
    )


def spread(points: Floats, reference: Floats, limit: int) -> Indices:
    """Indices, ascending, of at most `limit` points of a front sorted by its first coordinate.

    Greedy: each adds the most hypervolume to those before it; the greedy set has at least 63 % of
    the best set's (Nemhauser, Wolsey and Fisher, Mathematical Programming 14, 1978). It ends where
    the next one would add next to nothing.
    """
    chosen: list[int] = []
    total = 0.0
    while len(chosen) < min(limit, len(points)):
        gains = _gains(points, np.array(sorted(chosen), dtype=np.intp), reference)
        gains[chosen] = -np.inf
        best = int(np.argmax(gains))
        if chosen and gains[best] < _LEAST_GAIN * total:
            break
        chosen.append(best)
        total += float(gains[best])
    return np.array(sorted(chosen), dtype=np.intp)


def _gains(points: Floats, chosen: Indices, reference: Floats) -> Floats:
    """What each point would add to the hypervolume of the chosen ones."""
    if points.shape[1] > 3:
        rays = Rays.over(points, reference)
        reach = rays.reach(points)
        so_far = reach[chosen].max(axis=0, initial=0.0)
        return rays.volume(np.maximum(reach, so_far)) - rays.volume(so_far)
    if points.shape[1] != 2:
        before = hypervolume(points[chosen], reference)
        return np.array(
            [hypervolume(points[[*chosen, i]], reference) - before for i in range(len(points))]
        )
    # Along a front sorted by its first coordinate the second one falls: what a point adds is the
    # box between its neighbours among the chosen.
    place = np.searchsorted(chosen, np.arange(len(points)))
    right = np.append(points[chosen, 0], reference[0])[place]
    above = np.insert(points[chosen, 1], 0, reference[1])[place]
    gains: Floats = np.maximum(right - points[:, 0], 0) * np.maximum(above - points[:, 1], 0)
    return gains
