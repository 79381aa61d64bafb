"""All configurations of a finite search space, numbered in the order of `SearchSpace.grid`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tuner.arrays import Indices
from tuner.spec.space import Configuration, SearchSpace, Value

ENUMERABLE = 50_000
"""The most configurations that a space may have to be looked at as a whole, wherever that is done;
`tuner.model.large_space` says what is looked at in a larger or continuous one."""


class Lattice:
    """A finite space of at most `ENUMERABLE` configurations."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._parameters = space.parents_first
        self._axes = tuple(p.values() or () for p in self._parameters)
        self._position = tuple({v: i for i, v in enumerate(axis)} for axis in self._axes)
        self._ordered = np.array([p.ordered for p in self._parameters])
        self._rows = self._enumerated()
        self._number = {row.tobytes(): i for i, row in enumerate(self._rows)}
        self.size = len(self._rows)

    @classmethod
    def of(cls, space: SearchSpace) -> Lattice | None:
        """The lattice of `space`, or None where it is continuous or too large."""
        size = space.size()
        return cls(space) if size is not None and size <= ENUMERABLE else None

    def _enumerated(self) -> Indices:
        """A row per configuration: the position of each parameter's value, -1 where inactive."""
        column = {p.name: i for i, p in enumerate(self._parameters)}
        rows: Indices = np.full((1, len(self._parameters)), -1, dtype=np.intp)
        for i, (parameter, axis) in enumerate(zip(self._parameters, self._axes, strict=True)):
            active = np.ones(len(rows), dtype=np.bool_)
            if (when := parameter.when) is not None:
                parent = column[when.parameter]
                # The last one is for position -1: nothing holds of an inactive parameter.
                holds = np.array([*map(when.holds, self._axes[parent]), False])
                active = holds[rows[:, parent]]
            counts = np.where(active, len(axis), 1)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            rows = np.repeat(rows, counts, axis=0)
            rows[:, i] = np.where(np.repeat(active, counts), within, -1)
        return rows

    def index(self, configuration: Mapping[str, Value]) -> int | None:
        """The number of a configuration, or None where the space does not contain it."""
        try:
            row = [
                position[configuration[p.name]] if p.name in configuration else -1
                for p, position in zip(self._parameters, self._position, strict=True)
            ]
        except KeyError:
            return None
        return self._number.get(np.array(row, dtype=np.intp).tobytes())

    def configuration(self, index: int) -> Configuration:
        values = {
            p.name: axis[int(i)]
            for p, axis, i in zip(self._parameters, self._axes, self._rows[index], strict=True)
            if i >= 0
        }
        return self._space.effective(values)

    def free(self, taken: Collection[Mapping[str, Value]]) -> Indices:
        """Numbers of all configurations that are not in `taken`, ascending."""
        is_free = np.ones(self.size, dtype=np.bool_)
        for configuration in taken:
            index = self.index(configuration)
            if index is not None:
                is_free[index] = False
        return np.flatnonzero(is_free)

    def nearest(self, index: int, free: Indices, rng: np.random.Generator) -> int:
        """The one of `free` nearest to `index`, ties broken by `rng`.

        Distance is the sum over parameters of the way from one end of the values to the other
        (ordered), or 1 where the values differ (unordered). An inactive parameter counts as being
        at its default, as samplers see it.
        """
        spans = np.maximum([len(axis) - 1 for axis in self._axes], 1)
        defaults = np.array(
            [
                0 if p.when is None else position.get(p.default, 0)
                for p, position in zip(self._parameters, self._position, strict=True)
            ]
        )
        rows = np.where(self._rows < 0, defaults, self._rows)
        steps = np.abs(rows[free] - rows[index])
        distances = np.where(self._ordered, steps / spans, steps > 0).sum(axis=1)
        # Sums of fractions: equal distances may differ by rounding.
        return int(rng.choice(free[distances <= distances.min() + 1e-9]))
