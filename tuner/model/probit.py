"""Classification by Gaussian processes: the chance of success over the search space. Pure.

A probit likelihood and Laplace's approximation as in Rasmussen and Williams, Gaussian Processes for
Machine Learning (MIT Press, 2006), sections 3.4 and 3.9, with weights for labels that are doubtful.
Few failures cannot teach length scales, so a handful of guesses are averaged by their evidence:
all parameters matter alike, or one of them alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import log_ndtr, ndtr

from tuner.arrays import Floats, Indices, Mask
from tuner.model.gp import Hyper, matern

_SIGNAL = 2.0
_MEAN = 2.05 * math.sqrt(1 + _SIGNAL**2)
"""Of the latent values: the chance of success far from all failures is 98 %."""
_SHORT, _ALIKE, _LONG = 0.35, 0.6, 4.0
_KEPT = 120
_UNLIKELY = 0.01
_NEGLIGIBLE = 0.02
_STEPS = 30


@dataclass(frozen=True, eq=False)
class Classifier:
    """Learned from outcomes at `points`; `guesses` are what may matter, each with its share, length
    scales, and of the latent values the slope, the roots of the curvature and the factor.
    """

    points: Floats
    groups: Indices
    guesses: tuple[tuple[float, Floats, Floats, Floats, Floats], ...]

    @classmethod
    def of(
        cls, points: Floats, success: Mask, weights: Floats, groups: Indices, count: int
    ) -> Classifier:
        """From outcomes at `points` (N, d), each counted `weights` (N,) times.

        Columns belong to the `count` groups given by `groups`, shape (d,). Of many points those
        nearest to the other outcome are used.
        """
        points, success, weights = _relevant(points, success, weights)
        labels = np.where(success, 1.0, -1.0)
        lengths = [np.full(count, _ALIKE)]
        lengths += [np.where(np.arange(count) == i, _SHORT, _LONG) for i in range(count)]
        modes = [_mode(matern(points, points, groups, _hyper(g)), labels, weights) for g in lengths]
        evidence = np.array([logs for *_, logs in modes])
        shares = np.exp(evidence - evidence.max())
        shares /= shares.sum()
        guesses = tuple(
            (float(share), own, slope, root, factor)
            for share, own, (slope, root, factor, _) in zip(shares, lengths, modes, strict=True)
            if share >= _UNLIKELY
        )
        return cls(points, groups, guesses)

    def probability(self, test_points: Floats) -> Floats:
        """The chance of success at each of them (n, d), shape (n,)."""
        probabilities: Floats = np.zeros(len(test_points))
        for share, lengths, slope, root, factor in self.guesses:
            cross = matern(self.points, test_points, self.groups, _hyper(lengths))
            whitened = solve_triangular(factor, root[:, None] * cross, lower=True)
            variance = np.maximum(_SIGNAL**2 - (whitened**2).sum(axis=0), 0.0)
            probabilities += share * ndtr((_MEAN + cross.T @ slope) / np.sqrt(1.0 + variance))
        probabilities /= sum(share for share, *_ in self.guesses)
        return probabilities


def _hyper(lengths: Floats) -> Hyper:
    return Hyper(lengths, _SIGNAL, 0.0)


def _mode(kernel: Floats, labels: Floats, weights: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Of the latent values: slope of the likelihood, roots of its curvature, Cholesky factor of
    I + W^(1/2) K W^(1/2), and the evidence; algorithm 3.1, steps halved until they improve.
    """
    count = len(labels)
    latent_part = np.zeros(count)  # K^-1 (latent - mean)

    def at(part: Floats) -> tuple[float, Floats, Floats]:
        latent = kernel @ part + _MEAN
        margin = labels * latent
        ratio = np.exp(-0.5 * margin**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(margin))
        objective = float(weights @ log_ndtr(margin) - 0.5 * part @ (latent - _MEAN))
        return objective, weights * labels * ratio, weights * ratio * (ratio + margin)

    def decomposed(curvature: Floats) -> tuple[Floats, Floats]:
        root: Floats = np.sqrt(np.maximum(curvature, 1e-12))
        inside = np.eye(count) + root[:, None] * kernel * root
        return root, np.asarray(np.linalg.cholesky(inside))

    value, slope, curvature = at(latent_part)
    for _ in range(_STEPS):
        root, factor = decomposed(curvature)
        right = curvature * (kernel @ latent_part) + slope
        inner = cho_solve((factor, True), root * (kernel @ right))
        step = right - root * inner - latent_part
        share = 1.0
        while share > 1e-3 and (trial := at(latent_part + share * step))[0] < value:
            share /= 2
        gain = trial[0] - value
        latent_part = latent_part + share * step
        value, slope, curvature = trial
        if gain < 1e-6:
            break
    root, factor = decomposed(curvature)
    return slope, root, factor, value - float(np.log(np.diag(factor)).sum())


def _relevant(points: Floats, success: Mask, weights: Floats) -> tuple[Floats, Mask, Floats]:
    """One row per distinct point and outcome that counts at all; of a crowd of either outcome,
    those nearest to the other.
    """
    table = np.column_stack([points, success])
    rows, where = np.unique(table, axis=0, return_inverse=True)
    total = np.asarray(np.bincount(where.reshape(-1), weights, len(rows)), dtype=np.float64)
    counts = total > _NEGLIGIBLE
    rows, total = rows[counts], total[counts]
    good = np.asarray(rows[:, -1] > 0.5)
    kept = []
    for own, other in ((good, ~good), (~good, good)):
        mine = np.flatnonzero(own)
        if len(mine) > _KEPT // 2 and other.any():
            others = rows[other]
            nearest = [((others[:, :-1] - rows[i, :-1]) ** 2).sum(axis=1).min() for i in mine]
            mine = mine[np.argsort(nearest, kind="stable")]
        kept.append(mine[: _KEPT // 2])
    chosen = np.concatenate(kept)
    return rows[chosen, :-1], good[chosen], total[chosen]
