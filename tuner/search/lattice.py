"""All configurations of a finite search space, numbered in the order of `SearchSpace.grid`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from tuner.spec.space import Configuration, SearchSpace, Value

ENUMERABLE = 100_000
"""Largest space that is held in memory as a whole."""

Positions = npt.NDArray[np.intp]


class Lattice:
    """A finite space of at most `ENUMERABLE` configurations."""

    def __init__(self, space: SearchSpace) -> None:
        self._names = tuple(p.name for p in space)
        self._axes = tuple(p.values() or () for p in space)
        self._position = tuple({v: i for i, v in enumerate(axis)} for axis in self._axes)
        self._ordered = np.array([p.ordered for p in space])
        self._shape = tuple(len(axis) for axis in self._axes)
        self.size = math.prod(self._shape)

    @classmethod
    def of(cls, space: SearchSpace) -> Lattice | None:
        """The lattice of `space`, or None where it is continuous or too large."""
        size = space.size()
        return cls(space) if size is not None and size <= ENUMERABLE else None

    def index(self, configuration: Mapping[str, Value]) -> int | None:
        """The number of a configuration, or None where the space does not contain it."""
        try:
            at = [
                position[configuration[name]]
                for name, position in zip(self._names, self._position, strict=True)
            ]
        except KeyError:
            return None
        return int(np.ravel_multi_index(at, self._shape))

    def configuration(self, index: int) -> Configuration:
        at = np.unravel_index(index, self._shape)
        return Configuration.of(
            {name: axis[int(i)] for name, axis, i in zip(self._names, self._axes, at, strict=True)}
        )

    def free(self, taken: Collection[Mapping[str, Value]]) -> Positions:
        """Numbers of all configurations that are not in `taken`, ascending."""
        is_free = np.ones(self.size, dtype=np.bool_)
        for configuration in taken:
            index = self.index(configuration)
            if index is not None:
                is_free[index] = False
        return np.flatnonzero(is_free)

    def nearest(self, index: int, free: Positions, rng: np.random.Generator) -> int:
        """The one of `free` nearest to `index`, ties broken by `rng`.

        Distance is the sum over parameters of the way from one end of the values to the other
        (ordered), or 1 where the values differ (unordered).
        """
        spans = np.maximum(np.array(self._shape) - 1, 1)
        here = np.stack(np.unravel_index(index, self._shape))
        steps = np.abs(np.stack(np.unravel_index(free, self._shape), axis=1) - here)
        distances = np.where(self._ordered, steps / spans, steps > 0).sum(axis=1)
        # Sums of fractions: equal distances may differ by rounding.
        return int(rng.choice(free[distances <= distances.min() + 1e-9]))
