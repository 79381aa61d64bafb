"""Dominance, fronts and hypervolume. Pure NumPy, any number of objectives.

Points are arrays of shape (n, m): n points, m objectives, smaller is better in every column.
`minimised` turns objective values of any direction into such points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, scaled_values, values_in_unit
from tuner.model.rays import volume_by_rays
from tuner.spec.metrics import Direction

TOLERANCE = math.log(1.02)
"""A configuration is as good as on a front unless another is better by more than 2 % in every
objective: parameters that hardly matter make many that differ by less than anybody can measure.
Decisions whose worst scenarios differ by less than that count as equally good, too."""

_SLICED = 12

MARGIN = math.log(1.01)
"""The reference of a hypervolume lies 1 % beyond the worst feasible values: none is zero."""


def logarithms(values: npt.ArrayLike) -> Floats:
    """Natural logarithms of values that cannot be negative; zero counts as `FLOOR`."""
    return LOGARITHM.scaled(values)


def coordinates(
    values: npt.ArrayLike, metrics: Sequence[str], directions: Sequence[Direction]
) -> Floats:
    """Values in the metrics' units, shape (n, m), on the scales of their links, minimised."""
    return minimised(
        scaled_values(np.reshape(np.asarray(values, np.float64), (-1, len(metrics))), metrics),
        directions,
    )


def in_units(points: Floats, metrics: Sequence[str], directions: Sequence[Direction]) -> Floats:
    """The inverse of `coordinates`, for an array of shape (..., m)."""
    signs = np.array([1.0 if d == "minimize" else -1.0 for d in directions])
    return values_in_unit(signs * points, metrics)


def minimised(values: npt.ArrayLike, directions: Sequence[Direction]) -> Floats:
    """Values, shape (n, m), with the columns to maximise negated.

    Raises ValueError for NaN and where there is not one direction per column.
    """
    points = np.asarray(values, dtype=np.float64).reshape(-1, len(directions))
    if np.isnan(points).any():
        raise ValueError("objective values must not be NaN")
    signs: Floats = np.array([1.0 if d == "minimize" else -1.0 for d in directions])
    return points * signs


def non_dominated(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mask, shape (n,), of the points that no other point dominates.

    A point dominates another when it is nowhere larger and somewhere smaller, so equal points do
    not dominate each other. O(n log n) for two objectives, else O(f n) for a front of f points.
    """
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    if points.shape[1] == 2:
        on_front = np.zeros(len(points), dtype=np.bool_)
        on_front[_front_of_two(points)] = True
        return on_front
    # In lexicographic order nothing later dominates anything earlier: the first point left over
    # is always on the front.
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    on_front = np.zeros(len(unique), dtype=np.bool_)
    left = np.arange(len(unique))
    while len(left):
        on_front[left[0]] = True
        left = left[(unique[left] < unique[left[0]]).any(axis=1)]
    return on_front[inverse.reshape(-1)]


def front(points: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Indices of the non-dominated points, sorted by their first objective, then by the next."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim == 2 and points.shape[1] == 2:
        return _front_of_two(points)
    indices = np.flatnonzero(non_dominated(points))
    if len(indices) == 0:
        return indices
    return indices[np.lexsort(points[indices].T[::-1])]


def _front_of_two(points: Floats) -> npt.NDArray[np.intp]:
    """As `front`, of points with two coordinates."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    first, second = points[order].T
    # Along the first coordinate, a point of the front is below all before it, or equal to the last.
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    below = new.copy()
    below[1:] &= second[1:] < np.minimum.accumulate(second)[:-1]
    indices: npt.NDArray[np.intp] = order[below[new][np.cumsum(new) - 1]]
    return indices


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Volume that the points dominate within the box below `reference`, shape (m,).

    Two objectives: one sweep. More: the last objective is cut into slices, each of which is the
    same problem in one dimension less (hypervolume by slicing objectives, While et al., IEEE
    Transactions on Evolutionary Computation 10(1), 2006). Both are exact. With more than three
    objectives that takes time that grows as n^(m-1), so of more than `_SLICED` points it is
    estimated by rays (`tuner.model.rays`), to a percent or better.
    """
    reference = np.asarray(reference, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64).reshape(-1, len(reference))
    points = points[(points < reference).all(axis=1)]
    if len(reference) > 3 and len(points) > _SLICED:
        return volume_by_rays(points, reference)
    return _volume(points, reference)


def _volume(points: Floats, reference: Floats) -> float:
    if len(points) == 0:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points.min())
    if len(reference) == 2:
        first, second = points[front(points)].T
        widths = np.diff(first, append=reference[0])
        return float(np.sum(widths * (reference[1] - second)))
    points = points[front(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.diff(points[:, -1], append=reference[-1])
    return sum(
        float(depth) * _volume(points[: i + 1, :-1], reference[:-1])
        for i, depth in enumerate(depths)
        if depth > 0
    )
