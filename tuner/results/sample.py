"""Joint draws from the posterior where a factorial compares configurations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, link_of
from tuner.model.surrogate import Surrogate
from tuner.results.factorial import Crossing, Factorial
from tuner.spec.metrics import METRICS, Direction
from tuner.spec.space import Configuration

LEAST_SHARE = 1e-3
"""Of the whole: shares below it are not told apart where effects are described as factors."""


def for_ratios(values: Floats, metric: str) -> Floats:
    """Values of a metric that can be compared as factors: of what may be 0, at least a little."""
    if link_of(metric) == LOGARITHM:
        return values
    return np.maximum(values, LEAST_SHARE * (METRICS[metric].whole or 1.0))


@dataclass(frozen=True, eq=False)
class Sample:
    """Joint draws from the posterior at all configurations of a factorial.

    `draws`, shape (count, n, m), are minimised logarithms; `feasible`, shape (n,), probabilities.
    """

    factorial: Factorial
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    draws: Floats
    feasible: Floats

    @classmethod
    def of(
        cls, surrogate: Surrogate, factorial: Factorial, count: int = 400, seed: int = 0
    ) -> Sample:
        """With `count` 0 the posterior mean stands for the draws, at hardly any cost.

        Raises KeyError where a configuration of the factorial is no candidate.
        """
        index = surrogate.candidates.index
        rows = np.array([_known(index(c), c) for c in factorial.configurations], dtype=np.intp)
        posterior = surrogate.posterior(rows)
        rng = np.random.default_rng(seed)
        draws = surrogate.draws(rows, count, rng) if count else posterior.mean[None]
        return cls(factorial, surrogate.metrics, surrogate.directions, draws, posterior.feasible)

    def logs(self, metric: str) -> Floats:
        """Draws of the natural logarithm of a metric, shape (count, n).

        Of a metric that may be 0, what is below `LEAST_SHARE` counts as that.
        """
        return LOGARITHM.scaled(for_ratios(self.values(metric), metric))

    def values(self, metric: str) -> Floats:
        """Draws of a metric in its unit, shape (count, n)."""
        column = self.metrics.index(metric)
        sign = 1.0 if self.directions[column] == "minimize" else -1.0
        return link_of(metric).in_unit(sign * self.draws[:, :, column])

    def serving(self) -> dict[str, npt.NDArray[np.bool_]]:
        """For each parameter, at which of its values enough settings (5 %) can be expected to be
        feasible. All of them, where no value has enough.
        """
        by_parameter = {}
        for name, crossing in self.factorial.mains.items():
            able = (self.feasible[crossing.rows] >= 0.5).mean(axis=1) >= 0.05
            by_parameter[name] = able if able.any() else np.ones_like(able)
        return by_parameter

    def where_served(self, crossing: Crossing) -> Crossing:
        """A crossing without the values, of any parameter, at which nothing serves."""
        serving, axes = self.serving(), self.factorial.axes
        keep = np.ones(len(crossing.settings), dtype=np.bool_)
        for j, name in enumerate(axes):
            if name in serving and name not in crossing.names:
                keep &= serving[name][crossing.settings[:, j]]
        if not keep.any():
            keep[:] = True
        rows, values = crossing.rows[..., keep], []
        for axis, (name, of) in enumerate(zip(crossing.names, crossing.values, strict=True)):
            able = np.array([serving[name][axes[name].index(v)] for v in of])
            rows = np.compress(able, rows, axis=axis)
            values.append(tuple(itertools.compress(of, able)))
        return Crossing(
            crossing.names, tuple(values), rows, crossing.settings[keep], crossing.share
        )


def _known(row: int | None, configuration: Configuration) -> int:
    if row is None:
        raise KeyError(f"{configuration} is not among the surrogate's candidates")
    return row
