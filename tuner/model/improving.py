"""The configuration that is expected to improve a front most, in a space of any kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from tuner.arrays import Floats, Indices
from tuner.model.acquisition import log_improvement
from tuner.model.candidates import Candidates
from tuner.model.initial_design import value_at
from tuner.model.large_space import near, sampled
from tuner.model.observations import Observation, served
from tuner.model.pareto import front
from tuner.model.scales import Scale
from tuner.model.surrogate import Surrogate
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, SearchSpace, Value

_WHOLE = 4096
_CENTRES = 6
_BEST = 6
_EACH = 24
_WIDTHS = (0.08, 0.02, 0.005, 0.001)
"""Around the best candidates others are looked at, ever closer."""


@dataclass(frozen=True, eq=False)
class Search:
    """What is known of a space, what is being measured (`pending`), and what must not be proposed
    (`taken`). A proposal has the values `fixed`.
    """

    space: SearchSpace
    metrics: Sequence[str]
    directions: Sequence[Direction]
    scales: Sequence[Scale]
    observations: Sequence[Observation]
    pending: Sequence[Configuration]
    taken: frozenset[Configuration]
    fixed: Mapping[str, Value]

    def proposal(self, seed: Sequence[int]) -> Configuration:
        """The configuration that is expected to improve the front most.

        A small finite space is looked at as a whole. In any other space the search samples widely,
        then looks closer and closer around the best. A taken configuration is proposed only where
        no other is left.
        """
        size = self.space.size()
        if size is not None and size <= _WHOLE:
            best = self._best(list(self.space.grid()), 1)
            return best[0]
        rng = np.random.default_rng([*seed, 3])
        best = self._best(sampled(self.space, self._centres(), seed), _BEST)
        for width in _WIDTHS:
            around = near(
                self.space, best, _EACH, rng, width=width, most=len(self.space.parameters)
            )
            best = self._best([*best, *map(self.space.effective, around)], _BEST)
        return best[0]

    def spread(self, seed: int, number: int) -> Configuration:
        """The point `number`, from 0, of a scrambled Sobol sequence over the space."""
        parameters = self.space.parameters
        engine = qmc.Sobol(len(parameters), scramble=True, rng=np.random.default_rng([seed, 4]))
        point = engine.fast_forward(number).random()[0]
        values = {p.name: value_at(p, float(u)) for p, u in zip(parameters, point, strict=True)}
        return self.space.effective({**values, **self.fixed})

    def _centres(self) -> list[Configuration]:
        """Those of the front of what was measured, spread along it."""
        good = [o for o in self.observations if served(o) and np.isfinite(o.values or ()).all()]
        points = self._scaled(good)
        best = front(points)
        best = best[np.linspace(0, len(best) - 1, min(len(best), _CENTRES)).round().astype(int)]
        return [good[i].configuration for i in best]

    def _scaled(self, served_ones: Sequence[Observation]) -> Floats:
        values = np.array([o.values for o in served_ones], dtype=np.float64)
        values = values.reshape(-1, len(self.metrics))
        signs = [1.0 if d == "minimize" else -1.0 for d in self.directions]
        return values * signs

    def _best(self, configurations: Sequence[Configuration], count: int) -> list[Configuration]:
        """The `count` best of these, the best one first."""
        proposals = list(dict.fromkeys(configurations))
        if self.fixed:
            proposals = list(
                dict.fromkeys(self.space.effective({**c, **self.fixed}) for c in proposals)
            )
        measured = [o.configuration for o in self.observations]
        candidates = Candidates.of(self.space, [*proposals, *measured, *self.pending])
        pending = _rows(candidates, self.pending)
        surrogate = Surrogate.fit(
            candidates, self.metrics, self.directions, self.observations, scales=self.scales
        ).with_pending(pending)
        holding = np.union1d(_rows(candidates, self._holding()), pending)
        gain = log_improvement(surrogate, holding)
        rows = np.arange(len(proposals))
        free = np.array([c not in self.taken for c in proposals], dtype=np.bool_)
        rows = rows[free] if free.any() else rows
        order = rows[np.argsort(-gain[rows], kind="stable")]
        return [candidates.configurations[r] for r in order[:count]]

    def _holding(self) -> list[Configuration]:
        """What was measured to the end and held all constraints."""
        return [
            o.configuration
            for o in self.observations
            if served(o) and not o.cut_short and all(v <= 0 for v in o.violations.values())
        ]


def _rows(candidates: Candidates, configurations: Sequence[Configuration]) -> Indices:
    rows = [row for c in configurations if (row := candidates.index(c)) is not None]
    return np.array(rows, dtype=np.intp)
