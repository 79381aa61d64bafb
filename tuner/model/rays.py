"""Hypervolumes of many objectives by rays from the reference. Pure.

In polar coordinates around the reference, what a set of points dominates ends on every ray at one
distance, which is quickly found: the largest over the points of the smallest over the objectives.
So a hypervolume is a mean over directions (random hypervolume scalarisations: Zhang and Golovin,
ICML 2020), and an expected improvement an integral along each ray from there on, where exact
methods take time that grows with a power of the number of points. The directions are the same
each time (a Sobol sequence), so the same points give the same number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from tuner.arrays import Floats

DIRECTIONS = 4096
"""Of a volume: its error is well below one percent."""
_FEWER = 256
"""Of an expected improvement; so many times `_NODES` points are looked at."""
_NODES = 4
_MARGIN = 3.0
_LEAST_SD = 1e-9


@dataclass(frozen=True, eq=False)
class Rays:
    """Directions from the `reference` to smaller values, shape (k, m), in units of `scale` (m,)."""

    reference: Floats
    scale: Floats
    directions: Floats

    @classmethod
    def over(cls, points: Floats, reference: Floats, count: int = DIRECTIONS) -> Rays:
        """Spread evenly over the box between the smallest values of `points` and the reference."""
        low = points.min(axis=0) if len(points) else reference - 1.0
        scale = np.maximum(reference - low, _LEAST_SD)
        return cls(reference, scale, _directions(len(reference), count))

    def reach(self, points: Floats) -> Floats:
        """How far along each ray each point dominates, shape (..., n, k): 0 where it does not.

        `points` has shape (..., n, m).
        """
        away = np.maximum(self.reference - points, 0.0) / self.scale
        least: Floats | None = None
        for j in range(len(self.scale)):
            along = away[..., j, None] / self.directions[:, j]
            least = along if least is None else np.minimum(least, along)
        assert least is not None
        return least

    def volume(self, reach: Floats) -> Floats:
        """What is dominated that ends at these distances, shape (..., k); shape (...)."""
        size = len(self.scale)
        volumes: Floats = (reach**size).mean(axis=-1) * self._unit / size
        return volumes

    def expected_gain(self, mean: Floats, sd: Floats, reach: Floats, low: Floats) -> Floats:
        """Expected hypervolume improvement of normal values, shape (n,) for (n, m).

        `reach`, shape (k,), is how far the front dominates; nothing is expected below `low`, (m,).
        """
        if (sd <= _LEAST_SD).all():
            added = np.maximum(self.reach(mean), reach)
            return self.volume(added) - self.volume(reach)
        size = len(self.scale)
        ends = ((self.reference - low) / self.scale / self.directions).min(axis=1)
        lengths = np.maximum(ends - reach, 0.0)
        # Close to the front's edge first: what a candidate may add mostly lies there.
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        nodes, weights = (nodes + 1) / 2, weights / 2
        along = reach[:, None] + lengths[:, None] * nodes**3
        shares = lengths[:, None] * weights * 3 * nodes**2 * along ** (size - 1)
        gains = np.zeros(len(mean))
        for q in range(_NODES):
            chances = np.ones((len(mean), len(reach)))
            for j in range(size):
                bound = self.reference[j] - self.scale[j] * self.directions[:, j] * along[:, q]
                width = np.maximum(sd[:, j, None], _LEAST_SD)
                chances *= ndtr((bound - mean[:, j, None]) / width)
            gains += chances @ shares[:, q]
        return gains * self._unit / len(reach)

    @property
    def _unit(self) -> float:
        """The area of the unit sphere where all coordinates are positive, times the scales."""
        size = len(self.scale)
        area = 2 * math.pi ** (size / 2) / math.gamma(size / 2) / 2**size
        return float(area * np.prod(self.scale))


def volume_by_rays(points: Floats, reference: Floats) -> float:
    """The hypervolume that `points`, shape (n, m), dominate below the reference, about."""
    if len(points) == 0:
        return 0.0
    rays = Rays.over(points, reference)
    return float(rays.volume(rays.reach(points).max(axis=0)))


def expected_gain_by_rays(mean: Floats, sd: Floats, front: Floats, reference: Floats) -> Floats:
    """Expected hypervolume improvement of each candidate, shape (n,), about."""
    low = np.minimum((mean - _MARGIN * sd).min(axis=0), reference - _LEAST_SD)
    rays = Rays.over(low[None], reference, _FEWER)
    reach = rays.reach(front).max(axis=0, initial=0.0)
    return rays.expected_gain(mean, sd, reach, low)


@lru_cache(maxsize=16)
def _directions(size: int, count: int) -> Floats:
    uniform = qmc.Sobol(size, rng=0).random(count)
    normal = np.abs(ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)))
    directions: Floats = np.maximum(normal, 1e-9)
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    return directions
