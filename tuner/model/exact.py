"""What is known of every candidate by formula: no Gaussian process needs to learn it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.candidates import Candidates
from tuner.model.gp import Hyper
from tuner.model.process import Prior
from tuner.spec.reservation import RESERVED, reserved
from tuner.spec.study import Prices

NEXT_TO_NOTHING = 1e-6
"""The deviation of an exact value: what divides by it or factors its covariance needs no case."""


@dataclass(frozen=True, eq=False)
class Exact:
    """The values of a coordinate at all candidates, shape (n,), as a `Ensemble` that is certain."""

    mean: Floats

    @property
    def prior(self) -> Prior:
        """It has no length scales, and what differs between bursts is next to nothing."""
        hyper = Hyper(np.zeros(0), NEXT_TO_NOTHING, NEXT_TO_NOTHING)
        return Prior(np.zeros(0, np.intp), np.zeros((0, 0)), hyper, "exact")

    @property
    def sd(self) -> Floats:
        return np.full(len(self.mean), NEXT_TO_NOTHING)

    def covariance(self, a: Indices, b: Indices) -> Floats:
        """Of rows of the candidates, shape (len(a), len(b)): each value is by itself."""
        own: Floats = NEXT_TO_NOTHING**2 * (a[:, None] == b[None, :])
        return own

    def draws(self, rows: Indices, normals: Floats, rng: np.random.Generator) -> Floats:  # noqa: ARG002 -- as `Ensemble`
        """Samples of `rows`, shape (count, len(rows)), made of standard `normals` as large."""
        samples: Floats = self.mean[rows] + NEXT_TO_NOTHING * normals
        return samples

    def alone(self) -> Exact:
        """Itself: it has no other member."""
        return self

    def believing(self, rows: Indices, variance: float) -> Exact:  # noqa: ARG002 -- as `Ensemble`
        """Itself: nothing can be learned of it."""
        return self


@lru_cache(maxsize=8)
def exact_values(candidates: Candidates, prices: Prices | None) -> Mapping[str, Floats]:
    """By name, the metrics that every candidate has by formula, in their units, shape (n,)."""
    each = [reserved(c, prices) for c in candidates.configurations]
    return {
        name: np.array([metrics[name] for metrics in each])
        for name in RESERVED
        if each and all(name in metrics for metrics in each)
    }
