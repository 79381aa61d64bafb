"""Which configurations to compare so that one parameter, or two, vary and nothing else does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Indices
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value

MOST_ROWS = 3000
"""So many configurations are compared jointly: the cost of a joint draw grows as their cube."""

_LEVELS = 8
"""So many values of a parameter are compared where the space is too large to compare all."""

_SETTINGS, _SETTINGS_OF_PAIRS, _LEVELS_OF_PAIRS, _PRODUCT = 48, 12, 3, 30_000


@dataclass(frozen=True, eq=False)
class Crossing:
    """Every value of one or two parameters with each of S settings of all the others.

    `rows`, shape (V, S) or (V, W, S), are rows of the factorial's configurations. `settings`, shape
    (S, d), has the others' positions on the factorial's axes, -1 for what is crossed. `share` is S
    over the number of all settings there are: 1 where nothing was left to chance.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]
    rows: Indices
    settings: Indices
    share: float


@dataclass(frozen=True, eq=False)
class Factorial:
    """Crossings of each parameter that has several values, and of pairs of them.

    The settings are of the product of all parameters' values, inactive ones included: there a
    parameter has no effect while it is inactive, and all are independent. `configurations` are
    what they mean, each once.
    """

    space: SearchSpace
    axes: Mapping[str, tuple[Value, ...]]
    configurations: tuple[Configuration, ...]
    mains: Mapping[str, Crossing]
    pairs: Mapping[tuple[str, str], Crossing]

    @classmethod
    def of(cls, space: SearchSpace, focus: Sequence[str] | None = None, seed: int = 0) -> Factorial:
        """Of the whole space where it has at most `MOST_ROWS` configurations.

        Of a larger one, each parameter at up to 8 values, crossed with settings drawn at random
        (a Latin hypercube fixed by `seed`), and only the pairs of `focus` (none for None), at up to
        three values each.
        """
        size = space.size()
        axes = {p.name: levels(p, MOST_ROWS) for p in space}
        product = math.prod(map(len, axes.values()))
        if size is not None and size <= MOST_ROWS and product <= _PRODUCT:
            return _full(space, axes)
        axes = {p.name: levels(p, _LEVELS) for p in space}
        return _sampled(space, axes, focus or (), np.random.default_rng(seed))


def levels(parameter: Parameter, most: int) -> tuple[Value, ...]:
    """All values of a parameter in order, or `most` of them from end to end."""
    values = parameter.values()
    if values is not None and len(values) <= most:
        return values
    spaced = np.geomspace if parameter.log else np.linspace
    if values is None:
        assert parameter.low is not None
        assert parameter.high is not None
        return tuple(float(v) for v in spaced(parameter.low, parameter.high, most))
    if not parameter.ordered or not parameter.log:
        picked = np.linspace(0, len(values) - 1, most).round().astype(int)
    else:
        numbers = np.array(values, dtype=np.float64)
        wanted = np.geomspace(numbers[0], numbers[-1], most)
        picked = np.abs(numbers[:, None] - wanted).argmin(axis=0)
    return tuple(values[i] for i in np.unique(picked))


class _Rows:
    """Numbers configurations in the order of their first appearance."""

    def __init__(self, space: SearchSpace, axes: Mapping[str, tuple[Value, ...]]) -> None:
        self._space = space
        self._axes = axes
        self.numbers: dict[Configuration, int] = {}

    def __call__(self, positions: Indices) -> Indices:
        """Rows of points given by their positions on the axes, shape (..., d)."""
        flat = positions.reshape(-1, positions.shape[-1]).tolist()
        rows = [
            self.numbers.setdefault(
                self._space.effective(
                    {n: axis[i] for (n, axis), i in zip(self._axes.items(), at, strict=True)}
                ),
                len(self.numbers),
            )
            for at in flat
        ]
        return np.array(rows, dtype=np.intp).reshape(positions.shape[:-1])


def _varying(space: SearchSpace, axes: Mapping[str, tuple[Value, ...]]) -> list[int]:
    """Positions of the parameters that have several values and can be active."""
    possible: set[str] = set()
    for p in space.parents_first:
        if p.when is None or (
            p.when.parameter in possible and any(map(p.when.holds, axes[p.when.parameter]))
        ):
            possible.add(p.name)
    return [i for i, (name, axis) in enumerate(axes.items()) if len(axis) > 1 and name in possible]


def _full(space: SearchSpace, axes: Mapping[str, tuple[Value, ...]]) -> Factorial:
    shape = tuple(map(len, axes.values()))
    positions: Indices = np.moveaxis(np.indices(shape, dtype=np.intp), 0, -1)
    rows = _Rows(space, axes)
    table = rows(positions)
    names = tuple(axes)

    def crossing(*which: int) -> Crossing:
        first = range(len(which))
        crossed = tuple(shape[i] for i in which)
        settings = np.moveaxis(positions, which, first)[(0,) * len(which)].copy()
        settings[..., which] = -1
        return Crossing(
            tuple(names[i] for i in which),
            tuple(axes[names[i]] for i in which),
            np.moveaxis(table, which, first).reshape(*crossed, -1),
            settings.reshape(-1, len(names)),
            1.0,
        )

    several = _varying(space, axes)
    return Factorial(
        space,
        axes,
        tuple(rows.numbers),
        {names[i]: crossing(i) for i in several},
        {(names[i], names[j]): crossing(i, j) for i, j in itertools.combinations(several, 2)},
    )


def _sampled(
    space: SearchSpace,
    axes: Mapping[str, tuple[Value, ...]],
    focus: Sequence[str],
    rng: np.random.Generator,
) -> Factorial:
    names, counts = tuple(axes), np.array([len(a) for a in axes.values()])
    rows = _Rows(space, axes)

    def hypercube(size: int) -> Indices:
        """Positions of `size` settings; counts of a parameter's values differ by at most one."""
        ranks = rng.permuted(np.tile(np.arange(size), (len(names), 1)), axis=1)
        offsets = rng.integers(counts)[:, None]
        positions: Indices = ((ranks * counts[:, None] // size + offsets) % counts[:, None]).T
        return positions

    def crossing(base: Indices, picked: Mapping[int, Indices]) -> Crossing:
        which = tuple(picked)
        grid = np.stack(np.meshgrid(*picked.values(), indexing="ij"), axis=-1)
        points = np.broadcast_to(base, (*grid.shape[:-1], *base.shape)).copy()
        points[..., which] = grid[..., None, :]
        settings = base.copy()
        settings[:, which] = -1
        everywhere = math.prod(int(c) for i, c in enumerate(counts) if i not in which)
        return Crossing(
            tuple(names[i] for i in which),
            tuple(tuple(axes[names[i]][k] for k in at) for i, at in picked.items()),
            rows(points),
            settings,
            min(1.0, len(base) / everywhere),
        )

    several = _varying(space, axes)
    fit = max(4, min(_SETTINGS, MOST_ROWS // int(1 + sum(counts[i] - 1 for i in several))))
    base = hypercube(fit)
    mains = {names[i]: crossing(base, {i: np.arange(counts[i])}) for i in several}
    base = hypercube(_SETTINGS_OF_PAIRS)

    def few(i: int) -> Indices:
        at = np.linspace(0, counts[i] - 1, min(counts[i], _LEVELS_OF_PAIRS))
        return at.round().astype(np.intp)

    chosen = [i for i in several if names[i] in focus]
    pairs = {
        (names[i], names[j]): crossing(base, {i: few(i), j: few(j)})
        for i, j in itertools.combinations(chosen, 2)
    }
    return Factorial(space, axes, tuple(rows.numbers), mains, pairs)
