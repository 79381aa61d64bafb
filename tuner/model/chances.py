"""How likely configurations are to be on a front, by joint draws of what they may be. Pure.

Points are minimised logarithms of objectives, as everywhere in this room. A draw is one world that
the posterior holds possible: an array (n, m) of the noise-free values of n configurations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuner.arrays import Floats, Indices, Mask
from tuner.model.feasibility import SURE
from tuner.model.pareto import TOLERANCE, front
from tuner.model.rays import Rays
from tuner.model.surrogate import Posterior, Surrogate

DRAWS = 256
MOST = 120
"""So many configurations of a scenario are drawn at most: those nearest to its front."""

_WIDE = 2.5
_UNLIKELY = 0.1
_SLICED_DRAWS = 48
_DIRECTIONS = 512
_BLOCK = 4_000_000


def tolerated(draws: Floats, tolerance: float = TOLERANCE) -> Mask:
    """Whether each point is on the front of its draw, give or take `tolerance`.

    `draws` has shape (count, n, m), the mask (count, n). A point is on the front where no other is
    smaller by more than `tolerance` in every objective. A point with an infinite coordinate is on
    no front.
    """
    count, n, m = draws.shape
    finite: Mask = np.asarray(np.isfinite(draws).all(axis=2), dtype=np.bool_)
    if m == 1:
        best = draws.min(axis=1, initial=np.inf)
        return np.asarray((draws[..., 0] <= best + tolerance) & finite, dtype=np.bool_)
    if m == 2:
        return _tolerated_pairs(draws, finite, tolerance)
    on_front: Mask = np.empty((count, n), dtype=np.bool_)
    step = max(1, _BLOCK // max(1, n * n))
    for start in range(0, count, step):
        block = np.where(finite[start : start + step, :, None], draws[start : start + step], 1e300)
        worse = np.ones((len(block), n, n), dtype=np.bool_)
        for j in range(m):
            worse &= block[:, None, :, j] < block[:, :, None, j] - tolerance
        on_front[start : start + step] = ~worse.any(axis=2)
    return on_front & finite


def _tolerated_pairs(draws: Floats, finite: Mask, tolerance: float) -> Mask:
    """Two objectives: by order of the first, in O(n log n) per draw."""
    count, n, _ = draws.shape
    if n == 0 or not finite.any():
        return finite
    first, second = draws[..., 0], np.where(finite, draws[..., 1], np.inf)
    low, high = first[finite].min(), first[finite].max()
    width = high - low + 2.0 + 2.0 * tolerance
    # All draws in one row, each within its own interval, so that one search serves them all.
    offset = np.arange(count)[:, None] * width
    first = np.where(finite, first - low, high - low + 1.0) + offset
    order = np.argsort(first, axis=1, kind="stable")
    lowest = np.minimum.accumulate(np.take_along_axis(second, order, axis=1), axis=1)
    ordered = np.take_along_axis(first, order, axis=1).ravel()
    before = np.searchsorted(ordered, (first - tolerance).ravel(), side="left").reshape(count, n)
    before -= np.arange(count)[:, None] * n
    nothing = before <= 0
    best = np.take_along_axis(lowest, np.maximum(before - 1, 0), axis=1)
    on_front: Mask = (nothing | (best >= second - tolerance)) & finite
    return on_front


def hypervolumes(draws: Floats, reference: Floats) -> Floats:
    """Hypervolume of each draw's points, shape (count,), below `reference`, shape (m,)."""
    count, n, m = draws.shape
    if n == 0:
        return np.zeros(count)
    if m == 1:
        best: Floats = np.maximum(reference[0] - draws[..., 0].min(axis=1), 0.0)
        return best
    clipped = np.minimum(draws, reference)
    if m > 3:
        rays = Rays.over(clipped.reshape(-1, m), reference, _DIRECTIONS)
        return np.array([rays.volume(rays.reach(each).max(axis=0)) for each in clipped])
    if m > 2:
        # The last objective is cut into slices, as in `tuner.model.pareto.hypervolume`, of all
        # draws at once.
        order = np.argsort(clipped[..., -1], axis=1, kind="stable")
        clipped = np.take_along_axis(clipped, order[..., None], axis=1)
        depths = np.diff(clipped[..., -1], axis=1, append=reference[-1])
        volume = np.zeros(count)
        for i in range(n):
            volume += depths[:, i] * hypervolumes(clipped[:, : i + 1, :-1], reference[:-1])
        return volume
    order = np.argsort(clipped[..., 0], axis=1, kind="stable")
    first = np.take_along_axis(clipped[..., 0], order, axis=1)
    second = np.take_along_axis(clipped[..., 1], order, axis=1)
    start = np.full((count, 1), reference[1])
    lowest = np.minimum.accumulate(np.concatenate([start, second], axis=1), axis=1)
    areas: Floats = ((lowest[:, :-1] - lowest[:, 1:]) * (reference[0] - first)).sum(axis=1)
    return areas


def plausible(posterior: Posterior, most: int = MOST) -> Indices:
    """Indices, ascending, of what may be on the front of all that `posterior` holds.

    Left out are those whose best bounds are behind some sure one's worst bounds, and those that
    are hardly feasible; of more than `most` the ones least behind the front of the means.
    """
    mean, half = posterior.mean, _WIDE * posterior.sd
    able = np.flatnonzero(posterior.feasible > _UNLIKELY)
    sure = np.flatnonzero(posterior.feasible > SURE)
    if len(sure):
        worst = (mean + half)[sure]
        bounds = worst[front(worst)]
        able = able[behind_front((mean - half)[able], bounds) <= 0.0]
    if len(able) > most:
        means = mean[sure] if len(sure) else mean[able]
        distance = behind_front(mean[able], means[front(means)])
        able = np.sort(able[np.argsort(distance, kind="stable")[:most]])
    return able


def behind(points: Floats, others: Floats, *, clip: bool = True) -> Floats:
    """How far points, shape (..., n, m), are behind others, shape (..., f, m); shape (..., n).

    It is the least amount that must be subtracted from all coordinates of a point so that none of
    the others is smaller in all of them; of logarithms, the logarithm of the factor by which all
    its objectives must shrink (the additive epsilon indicator of Zitzler et al., IEEE Transactions
    on Evolutionary Computation 7(2), 2003, of a single point). Without `clip` it is negative for
    a point that is ahead of all others. Zero where there are no others.
    """
    shape = np.broadcast_shapes(points.shape[:-2], others.shape[:-2])
    if others.shape[-2] == 0:
        return np.zeros((*shape, points.shape[-2]))
    least: Floats | None = None
    for j in range(points.shape[-1]):
        ahead = points[..., :, None, j] - others[..., None, :, j]
        least = ahead if least is None else np.minimum(least, ahead)
    assert least is not None
    distances: Floats = least.max(axis=-1)
    return np.maximum(distances, 0.0) if clip else distances


def behind_front(points: Floats, ordered: Floats) -> Floats:
    """As `behind` without `clip`, of points, shape (n, m), and a front by its first coordinate."""
    if ordered.shape[1] != 2 or len(ordered) == 0:
        return behind(points, ordered, clip=False)
    # Along the front its first coordinate grows and its second falls: of how far a point is ahead
    # in each, the lesser is largest where they cross.
    crossing = np.searchsorted(ordered[:, 0] - ordered[:, 1], points[:, 0] - points[:, 1])
    near = np.clip(crossing[:, None] + np.arange(-2, 2), 0, len(ordered) - 1)
    distances: Floats = (points[:, None] - ordered[near]).min(axis=2).max(axis=1)
    return distances


@dataclass(frozen=True, eq=False)
class Chances:
    """Draws of the configurations of one scenario, or of all, that may be on its front.

    `rows` are those of the surrogate's candidates. `draws`, shape (count, n, m), has infinite
    values where a configuration cannot serve, or breaks a constraint, in that draw.
    """

    rows: Indices
    draws: Floats
    reference: Floats
    """Behind every configuration of the scenario that surely serves, by the means."""

    @cached_property
    def on_front(self) -> Floats:
        """P(on the front, or not behind it by more than `TOLERANCE`) of each row, shape (n,)."""
        probabilities: Floats = tolerated(self.draws).mean(axis=0)
        return probabilities

    @cached_property
    def volumes(self) -> Floats:
        """Hypervolume of the front in each draw (logarithms), shape (count,)."""
        draws = self.draws if self.draws.shape[2] < 3 else self.draws[:_SLICED_DRAWS]
        return hypervolumes(draws, self.reference)

    @property
    def uncertainty(self) -> float:
        """Standard deviation of the front's hypervolume as a share of its mean."""
        mean = float(self.volumes.mean()) if len(self.volumes) else 0.0
        return float(self.volumes.std()) / mean if mean > 0 else 0.0

    def of(self, row: int) -> float:
        """P(on the front) of a row; 0 for one that is surely not."""
        at = np.searchsorted(self.rows, row)
        drawn = at < len(self.rows) and self.rows[at] == row
        return float(self.on_front[at]) if drawn else 0.0


def chances(surrogate: Surrogate, rows: Indices, *, count: int = DRAWS) -> Chances:
    """Of these rows of the candidates, ascending. The same arguments give the same draws."""
    posterior = surrogate.posterior(rows)
    likely = plausible(posterior)
    rng = np.random.default_rng([len(rows), int(rows[0]) if len(rows) else 0])
    draws = surrogate.draws(rows[likely], count, rng)
    return Chances(
        rows[likely],
        able_in(draws, posterior.feasible[likely], rng),
        reference_of(posterior),
    )


def able_in(draws: Floats, feasible: Floats, rng: np.random.Generator) -> Floats:
    """The draws with infinite values for what cannot serve in them.

    One number per draw decides for all, since what fails fails together: where a replica does not
    fit into 128 MiB, another of 64 MiB does not either.
    """
    level = rng.random((len(draws), 1))
    able: Floats = np.where((level < feasible)[..., None], draws, np.inf)
    return able


def reference_of(posterior: Posterior) -> Floats:
    """The corner behind all that surely serves; behind all, where nothing does."""
    sure = posterior.mean[posterior.feasible > SURE]
    among = sure if len(sure) else posterior.mean
    if len(among) == 0:
        return np.zeros(posterior.mean.shape[1])
    corner: Floats = among.max(axis=0) + TOLERANCE
    return corner
