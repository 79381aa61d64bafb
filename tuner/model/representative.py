"""Few of many observed points, so that what grows with their cube stays quick."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.memo import Keyed, digest
from tuner.model.pareto import non_dominated


@lru_cache(maxsize=32)
def once_chosen(keyed: Keyed[Indices]) -> Indices:
    return keyed.compute()


def representative(points: Floats, values: Floats, count: int) -> Indices:
    """At most `count` of n points, ascending: half of them the least dominated by `values`, shape
    (n, m), smaller is better; the others as far from all that are chosen as can be.
    """
    size = len(points)
    if size <= count:
        return np.arange(size)
    key = (digest(points, values), count)
    return once_chosen(Keyed(key, lambda: _chosen(points, values, count)))


def _chosen(points: Floats, values: Floats, count: int) -> Indices:
    size = len(points)
    chosen: list[int] = []
    left = np.arange(size)
    while len(chosen) < count // 2:
        layer = non_dominated(values[left])
        chosen += left[layer][: count // 2 - len(chosen)].tolist()
        left = left[~layer]
    distance = np.full(size, np.inf)
    for row in chosen:
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    while len(chosen) < count:
        distance[chosen[-1]] = -1.0
        row = int(np.argmax(distance))
        chosen.append(row)
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    return np.array(sorted(chosen), dtype=np.intp)
