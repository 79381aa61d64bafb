"""A Gaussian process over fixed places that learns block by block. Pure.

What a block of observations changes is added to what was known before it (block Cholesky), so that
one more observation costs little, and the same blocks give the same numbers to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from tuner.arrays import Floats, Indices
from tuner.model.gp import JITTER, Hyper, matern


@dataclass(frozen=True, eq=False)
class Places:
    """n points, shape (n, d), with the prior mean (n,) and the basis (n, k) there."""

    points: Floats
    mean: Floats
    basis: Floats

    def at(self, rows: Indices | slice) -> Places:
        return Places(self.points[rows], self.mean[rows], self.basis[rows])


@dataclass(frozen=True, eq=False)
class Prior:
    """Covariance before anything is seen: the kernel's, and that of the linear terms.

    `trend` names the prior mean that it is about.
    """

    groups: Indices
    basis_covariance: Floats
    hyper: Hyper
    trend: str

    def covariance(self, a: Places, b: Places) -> Floats:
        kernel = matern(a.points, b.points, self.groups, self.hyper)
        kernel += (a.basis @ self.basis_covariance) @ b.basis.T
        return kernel

    def variance(self, at: Places) -> Floats:
        linear = ((at.basis @ self.basis_covariance) * at.basis).sum(axis=1)
        variances: Floats = self.hyper.signal**2 + linear
        return variances


@dataclass(frozen=True, eq=False)
class Surprises:
    """What was measured, each given all before it: shape (N,), at `points` (N, d).

    `values` are in units of what was to be expected, `shares` the share of that variance that is
    not noise.
    """

    points: Floats
    values: Floats
    shares: Floats


@dataclass(frozen=True, eq=False)
class Process:
    """What is known everywhere after a block of observations, and those `before` it.

    The block has `values` with noise variance `variance`, shape (b,) each, at the places `seen`.
    """

    prior: Prior
    everywhere: Places
    seen: Places
    values: Floats
    variance: Floats
    before: Process | None = None

    @cached_property
    def _cross(self) -> Floats:
        """What earlier blocks know of this one's places, shape (earlier, b)."""
        return self.before.whitened(self.seen) if self.before else np.zeros((0, len(self.values)))

    @cached_property
    def _factor(self) -> Floats:
        covariance = self.prior.covariance(self.seen, self.seen) - self._cross.T @ self._cross
        covariance[np.diag_indices(len(covariance))] += self.variance + JITTER
        return np.asarray(np.linalg.cholesky(covariance))

    @cached_property
    def _innovation(self) -> Floats:
        """The residuals of this block in units of what was to be expected of them."""
        earlier = self.before.innovations if self.before else np.zeros(0)
        return _solved(self._factor, self.values - self.seen.mean - self._cross.T @ earlier)

    @cached_property
    def innovations(self) -> Floats:
        """Those of all blocks."""
        earlier = self.before.innovations if self.before else np.zeros(0)
        return np.concatenate([earlier, self._innovation])

    @property
    def surprises(self) -> Surprises:
        """Those of all blocks."""
        blocks = (*self._earlier, self)
        expected = [np.diag(b._factor) ** 2 for b in blocks]  # noqa: SLF001
        noise = np.concatenate([b.variance for b in blocks])
        return Surprises(
            np.concatenate([b.seen.points for b in blocks]),
            self.innovations,
            np.clip(1.0 - noise / np.concatenate(expected), 0.0, 1.0),
        )

    def whitened(self, at: Places) -> Floats:
        """Prior covariance of all observations and `at`, times the inverse of their factor."""
        own = self.prior.covariance(self.seen, at)
        if self.before is None:
            return _solved(self._factor, own)
        earlier = self.before.whitened(at)
        own -= self._cross.T @ earlier
        return np.concatenate([earlier, _solved(self._factor, own)])

    @cached_property
    def _own(self) -> Floats:
        """The rows of this block of `whitened`, everywhere."""
        own = self.prior.covariance(self.seen, self.everywhere)
        start = 0
        for block in self._earlier:
            own -= self._cross[start : start + len(block.values)].T @ block._own  # noqa: SLF001
            start += len(block.values)
        return _solved(self._factor, own)

    @property
    def _earlier(self) -> tuple[Process, ...]:
        """The blocks before this one, oldest first."""
        return () if self.before is None else (*self.before._earlier, self.before)  # noqa: SLF001

    @cached_property
    def mean(self) -> Floats:
        """Posterior mean of the noise-free values everywhere, shape (n,)."""
        earlier = self.before.mean if self.before else self.everywhere.mean
        mean: Floats = earlier + self._innovation @ self._own
        return mean

    @cached_property
    def _variance_everywhere(self) -> Floats:
        earlier = (
            self.before._variance_everywhere  # noqa: SLF001
            if self.before
            else self.prior.variance(self.everywhere)
        )
        variances: Floats = earlier - np.einsum("ij,ij->j", self._own, self._own)
        return variances

    @cached_property
    def sd(self) -> Floats:
        """Posterior deviation of the noise-free values everywhere, shape (n,)."""
        deviations: Floats = np.sqrt(np.maximum(self._variance_everywhere, 1e-12))
        return deviations

    def covariance(self, a: Indices, b: Indices) -> Floats:
        """Posterior covariance of rows of `everywhere`, shape (len(a), len(b))."""
        covariance = self.prior.covariance(self.everywhere.at(a), self.everywhere.at(b))
        # One product of all blocks: most of them have a single row.
        own = [block._own.T for block in (*self._earlier, self)]  # noqa: SLF001
        of_a, of_b = (np.concatenate([of[at] for of in own], axis=1) for at in (a, b))
        covariance -= of_a @ of_b.T
        return covariance

    @property
    def numbers(self) -> int:
        """How many this block keeps, about."""
        return (len(self.values) + 3) * len(self.everywhere.mean)

    def seeing(self, seen: Places, values: Floats, variance: Floats) -> Process:
        """After one more block; nothing changes where it is empty."""
        if len(values) == 0:
            return self
        return Process(self.prior, self.everywhere, seen, values, variance, self)

    def believing(self, rows: Indices, variance: float) -> Process:
        """As if each of `rows` had been measured once more and its mean had come out."""
        return self.seeing(self.everywhere.at(rows), self.mean[rows], np.full(len(rows), variance))


def lower_factor(covariance: Floats) -> Floats:
    """The lower triangular factor of a covariance that may be singular to rounding."""
    jitter = 1e-10 * max(float(np.diag(covariance).max(initial=0.0)), 1e-12)
    while True:
        lower, failed = dpotrf(covariance + jitter * np.eye(len(covariance)), lower=1, clean=1)
        if not failed:
            return np.asarray(lower)
        jitter *= 100


def _solved(factor: Floats, right: Floats) -> Floats:
    if len(factor) == 0:
        return np.zeros((0, *right.shape[1:]))
    solution: Floats = solve_triangular(factor, right, lower=True, check_finite=False)
    return solution
