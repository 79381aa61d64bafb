"""Gaussian process regression with Matern-5/2 kernel, ARD, and noise of unequal size. Pure.

As in Rasmussen and Williams, Gaussian Processes for Machine Learning (MIT Press, 2006), chapters 2
and 5. One length scale per parameter (a group of columns). Beside the kernel the prior has a known
mean and linear terms `basis @ coefficients` with Gaussian coefficients, integrated out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from tuner.arrays import Floats, Indices
from tuner.model.memo import Keyed, digest

JITTER = 1e-8
"""Variance added to every value's, so that factors exist."""
_CACHED = 2**16
"""So many numbers of a kernel are computed at once."""
_STEPS = 40
_AWAY = 1.5 * math.sqrt(3.0)
"""So many deviations of its logarithm off its most probable value is the kernel's sd tried. With
weights of 1/6 on both sides these are the nodes that integrate a normal distribution exactly up to
its fifth moment (Gauss and Hermite), half as far again: misfits are no sample of a Gaussian
process, and tell less of its size than one would."""
_FLAT = 0.3
_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class LogNormal:
    """A prior of a positive number: the median, and the sd of its logarithm."""

    median: float
    width: float


@dataclass(frozen=True)
class Priors:
    """Of the length scales (one per group of columns), the kernel's sd, and the noise's sd."""

    lengths: tuple[LogNormal, ...]
    signal: LogNormal
    noise: LogNormal

    @property
    def all(self) -> tuple[LogNormal, ...]:
        return (*self.lengths, self.signal, self.noise)


@dataclass(frozen=True, eq=False)
class Hyper:
    """Length scales per group, the kernel's sd, and the sd of noise beyond the known one."""

    lengths: Floats
    signal: float
    noise: float

    @property
    def all(self) -> tuple[float, ...]:
        """In the order of `Priors.all`."""
        return (*map(float, self.lengths), self.signal, self.noise)

    @classmethod
    def of(cls, logs: Floats) -> Hyper:
        """From logarithms in the order of `Priors.all`."""
        return cls(np.exp(logs[:-2]), math.exp(logs[-2]), math.exp(logs[-1]))


@dataclass(frozen=True, eq=False)
class Data:
    """N noisy values at u points of d columns.

    `where`, shape (N,), is the point of each value; `variance` its known noise variance. To it the
    noise that is learned is added, whose sd is `factors` (N,) times as large. `mean` (u,) and
    `basis` (u, k) with `basis_covariance` (k, k) are the prior at the points, `groups` (d,) the
    group of each column.
    """

    points: Floats
    groups: Indices
    values: Floats
    variance: Floats
    where: Indices
    mean: Floats
    basis: Floats
    basis_covariance: Floats
    factors: Floats

    def weights(self, noise: float) -> Floats:
        """The precision of each value."""
        precision: Floats = 1.0 / (self.variance + (noise * self.factors) ** 2)
        return precision

    def pooled(self, noise: float) -> tuple[Floats, Floats]:
        """Per point: the values' mean by precision less the prior mean, and its variance."""
        weights = self.weights(noise)
        total = np.bincount(self.where, weights, len(self.points))
        sums = np.bincount(self.where, weights * self.values, len(self.points))
        return sums / total - self.mean, 1.0 / total

    def digest(self) -> bytes:
        return digest(*(getattr(self, f.name) for f in fields(self)))


def squares(a: Floats, b: Floats, groups: Indices) -> Floats:
    """Squared distances per group, shape (groups, len(a), len(b))."""
    distances = np.zeros((int(groups.max()) + 1 if len(groups) else 0, len(a), len(b)))
    for column, group in enumerate(groups):
        distances[group] += (a[:, column, None] - b[None, :, column]) ** 2
    return distances


def matern(a: Floats, b: Floats, groups: Indices, hyper: Hyper) -> Floats:
    """The kernel, shape (len(a), len(b)); equation 4.17 of Rasmussen and Williams."""
    scales = 1.0 / hyper.lengths[groups]
    a, b = a * scales, b * scales
    kernel = np.empty((len(a), len(b)))
    # In parts that stay in a processor's cache, and in place: a third of the time.
    step = max(1, _CACHED // max(len(b), 1))
    for start in range(0, len(a), step):
        _standard_matern(a[start : start + step], b, kernel[start : start + step])
    kernel *= hyper.signal**2
    return kernel


def _standard_matern(a: Floats, b: Floats, kernel: Floats) -> None:
    """Fills `kernel` with that of signal and lengths 1."""
    np.matmul(a, -2.0 * b.T, out=kernel)
    kernel += (a**2).sum(axis=1)[:, None]
    kernel += (b**2).sum(axis=1)
    np.maximum(kernel, 0.0, out=kernel)
    kernel *= 5.0
    root = np.sqrt(kernel)
    kernel /= 3.0
    kernel += root
    kernel += 1.0
    np.negative(root, out=root)
    kernel *= np.exp(root, out=root)


def negative_log_posterior(logs: Floats, data: Data, priors: Priors) -> tuple[float, Floats]:
    """Of the hyperparameters' logarithms (in the order of `Priors.all`), with its gradient.

    Up to a constant. Repeated values at one point are pooled by precision, which is exact.
    """
    return _negative(logs, data, priors, squares(data.points, data.points, data.groups))


def _negative(logs: Floats, data: Data, priors: Priors, square: Floats) -> tuple[float, Floats]:
    hyper = Hyper.of(logs)
    count = len(data.points)
    scaled = square / (hyper.lengths**2)[:, None, None]
    root = np.sqrt(5.0 * scaled.sum(axis=0))
    decay = hyper.signal**2 * np.exp(-root)
    kernel = decay * (1.0 + root + root**2 / 3.0)
    residual, variance = data.pooled(hyper.noise)
    covariance = kernel + data.basis @ data.basis_covariance @ data.basis.T
    covariance[np.diag_indices(count)] += variance + JITTER
    factor, failed = dpotrf(covariance, lower=1, clean=1)
    if failed:
        return 1e10, np.zeros(len(logs))
    inverse, _ = dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ residual
    weights = data.weights(hyper.noise)
    deviations = data.values - data.mean[data.where] - residual[data.where]
    value = (
        0.5 * residual @ alpha
        + np.log(np.diag(factor)).sum()
        + 0.5 * weights @ deviations**2
        - 0.5 * np.log(weights).sum()
        - 0.5 * np.log(variance).sum()
    )
    # d(-log likelihood)/dK = (K^-1 - alpha alpha') / 2.
    outer = 0.5 * (inverse - np.outer(alpha, alpha))
    gradient = np.empty(len(logs))
    slope = outer * (5.0 / 3.0) * decay * (1.0 + root)
    gradient[:-2] = scaled.reshape(len(scaled), -1) @ slope.ravel()
    gradient[-2] = 2.0 * (outer * kernel).sum()
    # By each value's own noise variance: the same formula for the matrix of all values, whose
    # inverse follows from the pooled one's.
    inside = variance - variance**2 * np.diag(inverse)
    own_alpha = weights * (deviations + (variance * alpha)[data.where])
    own_inverse = weights - weights**2 * inside[data.where]
    gradient[-1] = (hyper.noise * data.factors) ** 2 @ (own_inverse - own_alpha**2)
    for i, prior in enumerate(priors.all):
        distance = (logs[i] - math.log(prior.median)) / prior.width
        value += 0.5 * distance**2
        gradient[i] += distance / prior.width
    return float(value), gradient


@dataclass(frozen=True, eq=False)
class Fit:
    """The most probable hyperparameters; `evidence` is the logarithm of their posterior density
    (likelihood x prior) up to what is the same for all models of the same values.
    """

    hyper: Hyper
    evidence: float


@lru_cache(maxsize=64)
def once_fitted(keyed: Keyed[Fit]) -> Fit:
    return keyed.compute()


def fitted(data: Data, priors: Priors) -> Fit:
    """By L-BFGS from the priors' medians; the same arguments give the same result at once."""
    return once_fitted(Keyed((data.digest(), priors), lambda: _fitted(data, priors)))


def _fitted(data: Data, priors: Priors) -> Fit:
    medians = np.log([p.median for p in priors.all])
    widths = np.array([p.width for p in priors.all])
    if len(data.values) == 0:
        return Fit(Hyper.of(medians), 0.0)
    square = squares(data.points, data.points, data.groups)
    optimum = minimize(
        _negative,
        medians,
        args=(data, priors, square),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(medians - 4 * widths, medians + 4 * widths, strict=True)),
        options={"maxiter": _STEPS},
    )
    return Fit(Hyper.of(optimum.x), -float(optimum.fun))


def scattered(data: Data, priors: Priors, best: Hyper) -> tuple[tuple[Hyper, float], ...]:
    """The `best` hyperparameters, a smaller and a larger misfit, with weights that add up to 1.

    The size of the misfit is the kernel's sd; all else follows it as the posterior's curvature says
    (Laplace). The same arguments give the same result at once.
    """
    key = (data.digest(), priors, digest(*best.all))
    return once_scattered(Keyed(key, lambda: _scattered(data, priors, best)))


@lru_cache(maxsize=64)
def once_scattered(
    keyed: Keyed[tuple[tuple[Hyper, float], ...]],
) -> tuple[tuple[Hyper, float], ...]:
    return keyed.compute()


def _scattered(data: Data, priors: Priors, best: Hyper) -> tuple[tuple[Hyper, float], ...]:
    if len(data.values) == 0:
        return ((best, 1.0),)
    logs = np.log(best.all)
    medians = np.log([p.median for p in priors.all])
    widths = np.array([p.width for p in priors.all])
    square = squares(data.points, data.points, data.groups)

    def gradient(at: Floats) -> Floats:
        return _negative(at, data, priors, square)[1]

    steps = _DIFFERENCE * np.eye(len(logs))
    slopes = [(gradient(logs + s) - gradient(logs - s)) / (2 * _DIFFERENCE) for s in steps]
    values, vectors = np.linalg.eigh((np.array(slopes) + np.array(slopes).T) / 2)
    # Where the optimum is flat, or none, the prior says how far one may go.
    covariance = (vectors / np.maximum(values, _FLAT / widths.max() ** 2)) @ vectors.T
    away = _AWAY * covariance[:, -2] / math.sqrt(covariance[-2, -2])
    others = [
        np.clip(logs + sign * away, medians - 4 * widths, medians + 4 * widths)
        for sign in (-1.0, 1.0)
    ]
    return ((best, 2 / 3), *((Hyper.of(other), 1 / 6) for other in others))


def grouped(owners: Sequence[str]) -> tuple[tuple[str, ...], Indices]:
    """The distinct names in order, and the number of each column's name."""
    names = tuple(dict.fromkeys(owners))
    return names, np.array([names.index(o) for o in owners], dtype=np.intp)
