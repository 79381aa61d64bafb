"""How many more trials would settle the fronts, by trying it on the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.chances import Chances, hypervolumes
from tuner.model.ensemble import joint_normals
from tuner.model.process import lower_factor
from tuner.model.surrogate import Surrogate

SETTLED = 0.05
"""A front is settled when its hypervolume is known to a standard deviation of 5 %: with bursts that
differ by some percent much less is out of reach."""

MOST_TRIALS = 128

_STEPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, MOST_TRIALS)
_ROWS = 16
_DRAWS = 128
_SLICED_DRAWS = 32
_LIKELY = 0.02


@dataclass(frozen=True)
class Settling:
    """What the model expects of more trials, each where it is expected to say most.

    `course` has numbers of further trials, growing by about a third from 0, each with how many
    fronts are then expected not to be settled; it ends where that is none, or at `MOST_TRIALS`.
    `first` are the rows of the candidates to begin with.
    """

    course: tuple[tuple[int, int], ...]
    first: tuple[int, ...]

    @property
    def trials(self) -> int | None:
        """How many settle all fronts; None where `MOST_TRIALS` are not enough."""
        trials, left = self.course[-1]
        return None if left else trials


def settling(surrogate: Surrogate, within: Sequence[Chances], own: Floats) -> Settling:
    """By greedy fantasies: each further trial is set where it lowers most the variance of what may
    be on a front; its outcome is taken to be the mean, so that deviations shrink and means stay.

    `own`, shape (fronts, m), is the usual standard error of a burst as a share of its value; what
    differs between bursts comes on top. Whether a configuration can serve is taken as known. An
    estimate: the model's own noise and length scales are taken to be right.
    """
    likely = [_likely(chances) for chances in within]
    rows, where = np.unique(np.concatenate([*likely, np.zeros(0, np.intp)]), return_inverse=True)
    where = where.reshape(-1)
    if not len(rows):
        return Settling(((0, 0),), ())
    blocks = np.split(where, np.cumsum([len(s) for s in likely])[:-1])
    mean = surrogate.posterior(rows).mean
    covariances = [surrogate.covariance(rows, rows, j) for j in range(mean.shape[1])]
    weights, noise = np.zeros(len(rows)), np.zeros(mean.shape)
    for block, chances, chosen, error in zip(blocks, within, likely, own, strict=True):
        p = chances.on_front[np.searchsorted(chances.rows, chosen)]
        weights[block] += p
        noise[block] = np.asarray(surrogate.noise_sd) ** 2 + error**2
    references = [c.reference for c in within]

    def still_open() -> int:
        return sum(
            _uncertainty(
                mean[block],
                [c[np.ix_(block, block)] for c in covariances],
                surrogate.error_correlation,
                reference,
            )
            > SETTLED
            for block, reference in zip(blocks, references, strict=True)
        )

    picks: list[int] = []
    course: list[tuple[int, int]] = []
    for step in _STEPS:
        while len(picks) < step:
            picks.append(_measure_one(covariances, noise, weights))
        course.append((step, still_open()))
        if course[-1][1] == 0:
            break
    return Settling(tuple(course), tuple(int(rows[i]) for i in dict.fromkeys(picks[:6])))


def _likely(chances: Chances) -> Indices:
    order = np.argsort(-chances.on_front, kind="stable")[:_ROWS]
    return chances.rows[np.sort(order[chances.on_front[order] > _LIKELY])]


def _measure_one(covariances: list[Floats], noise: Floats, weights: Floats) -> int:
    """Condition the covariances on one more measurement; the index of what was measured."""
    gain = np.zeros(len(weights))
    for covariance, variance in zip(covariances, noise.T, strict=True):
        gain += (covariance**2 @ weights) / (np.diag(covariance) + variance)
    chosen = int(np.argmax(gain))
    for j, covariance in enumerate(covariances):
        column = covariance[:, chosen].copy()
        covariances[j] = covariance - np.outer(column, column) / (column[chosen] + noise[chosen, j])
    return chosen


def _uncertainty(
    mean: Floats, covariances: Sequence[Floats], error_correlation: Floats, reference: Floats
) -> float:
    """Standard deviation of a front's hypervolume as a share of its mean."""
    if not len(mean):
        return 0.0
    # The same numbers each time: what differs is the covariance alone.
    rng = np.random.default_rng(len(mean))
    count = _DRAWS if mean.shape[1] < 3 else _SLICED_DRAWS
    normals = joint_normals(error_correlation, count, len(mean), rng)
    draws = [
        m + own @ lower_factor(c).T for m, own, c in zip(mean.T, normals, covariances, strict=True)
    ]
    volumes = hypervolumes(np.stack(draws, axis=-1), reference)
    average = float(volumes.mean())
    return float(volumes.std()) / average if average > 0 else 0.0
