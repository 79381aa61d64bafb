"""What several Gaussian processes say together that differ in what is uncertain of them. Pure.

Length scales, the size of a misfit and the prior mean are learned from the same few values as all
else. A single best guess of them promises too much. So an objective has a few processes, each with
its probability.

The errors of two objectives are not independent: where clients are answered sooner than expected,
they ask more often, and CPU usage is higher than expected. `error_correlation_of` learns how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.exact import Exact
from tuner.model.process import Prior, Process, lower_factor

_PRIOR_VALUES = 4.0
"""So many values' worth of belief that objectives have nothing to do with each other."""
_MOST = 0.95
_FAR = 3.0


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Processes over the same places, with `weights` that add up to 1; the first one is the most
    probable.
    """

    members: tuple[Process, ...]
    weights: Floats

    @property
    def likeliest(self) -> Process:
        return self.members[0]

    @property
    def prior(self) -> Prior:
        """That of the most probable member."""
        return self.likeliest.prior

    @cached_property
    def mean(self) -> Floats:
        """Posterior mean of the noise-free values everywhere, shape (n,)."""
        mean: Floats = np.einsum("k,kn->n", self.weights, [m.mean for m in self.members])
        return mean

    @cached_property
    def sd(self) -> Floats:
        """Posterior deviation everywhere, shape (n,), by the law of total variance."""
        own = [m.sd**2 + (m.mean - self.mean) ** 2 for m in self.members]
        deviations: Floats = np.sqrt(np.einsum("k,kn->n", self.weights, own))
        return deviations

    def covariance(self, a: Indices, b: Indices) -> Floats:
        """Posterior covariance of rows, shape (len(a), len(b)), by the same law."""
        if len(self.members) == 1:
            return self.likeliest.covariance(a, b)
        total = np.zeros((len(a), len(b)))
        for weight, member in zip(self.weights, self.members, strict=True):
            apart = member.mean - self.mean
            total += weight * (member.covariance(a, b) + np.outer(apart[a], apart[b]))
        return total

    def draws(self, rows: Indices, normals: Floats, rng: np.random.Generator) -> Floats:
        """Joint samples of `rows`, shape (count, len(rows)), made of standard `normals` as large.

        Each member has its share of the samples, in random order.
        """
        ends = np.round(np.cumsum(self.weights) * len(normals)).astype(int)
        order = rng.permutation(len(normals))
        samples = np.empty_like(normals)
        for member, mine in zip(self.members, np.split(order, ends[:-1]), strict=True):
            if len(mine):
                root = lower_factor(member.covariance(rows, rows))
                samples[mine] = member.mean[rows] + normals[mine] @ root.T
        return samples

    def believing(self, rows: Indices, variance: float) -> Ensemble:
        """As if each of `rows` had been measured once more and what each member expects had come
        out: means stay.
        """
        return Ensemble(tuple(m.believing(rows, variance) for m in self.members), self.weights)

    def alone(self) -> Ensemble:
        """The most probable member alone."""
        return Ensemble(self.members[:1], np.ones(1))


def error_correlation_of(objectives: Sequence[Ensemble | Exact]) -> Floats:
    """How the errors of objectives go together, shape (m, m), by what surprised the most probable
    processes of both at the same bursts.

    The product of two surprises is expected to be the correlation of the errors times the share of
    a surprise that is no noise, and that of the noise times the rest: a least squares problem of
    two unknowns, each believed to be 0 as firmly as `_PRIOR_VALUES` values would say.
    """
    count = len(objectives)
    matrix = np.eye(count)
    for i in range(count):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = _correlation(objectives[i], objectives[j])
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    correlation: Floats = matrix / np.outer(scale, scale)
    return correlation


def joint_normals(
    error_correlation: Floats, count: int, rows: int, rng: np.random.Generator
) -> Floats:
    """Standard normal numbers, shape (m, count, rows), of objectives with these correlations."""
    normals = rng.standard_normal((len(error_correlation), count, rows))
    drawn: Floats = np.einsum("ij,jkn->ikn", np.linalg.cholesky(error_correlation), normals)
    return drawn


def _correlation(one: Ensemble | Exact, other: Ensemble | Exact) -> float:
    if isinstance(one, Exact) or isinstance(other, Exact):
        return 0.0
    a, b = one.likeliest.surprises, other.likeliest.surprises
    if not np.array_equal(a.points, b.points):
        return 0.0
    product = np.clip(a.values, -_FAR, _FAR) * np.clip(b.values, -_FAR, _FAR)
    share = np.sqrt(a.shares * b.shares)
    terms = np.column_stack([share, 1.0 - share])
    squares = terms.T @ terms + _PRIOR_VALUES * np.eye(2)
    return float(np.clip(np.linalg.solve(squares, terms.T @ product)[0], -_MOST, _MOST))
