"""What bursts at some candidates tell of others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.acquisition import Interest
from tuner.model.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class Learning:
    """How bursts at `rows` (c of them) inform of the points of interest (i).

    A burst at a candidate takes the share rho^2 of a point's variance away, rho being the
    correlation of what it measures with the point's true value, and that share of the point's worth
    is counted as told. Of several objectives the shares are weighted by what is not known of each.

    Per objective, `across` (i, c) has the covariances, `own` (c,) the variance of what bursts would
    measure, without noise; `noise` (m,) is that of a burst and `weights` (m, i) worth per variance.
    """

    interest: Interest
    rows: Indices
    feasible: Floats
    across: tuple[Floats, ...]
    own: tuple[Floats, ...]
    noise: Floats
    weights: Floats

    @classmethod
    def of(
        cls, surrogate: Surrogate, interest: Interest, rows: Indices, burst_sd: Floats
    ) -> Learning:
        """`burst_sd`, shape (m,), is the sd of a burst's logarithms.

        The correlations are those of the most probable processes, a third of the work of all.
        """
        surrogate = surrogate.likeliest()
        posterior = surrogate.posterior()
        objectives = range(len(surrogate.metrics))
        sd = posterior.sd[interest.rows]
        shares = sd / sd.sum(axis=1, keepdims=True)
        return cls(
            interest,
            rows,
            posterior.feasible[rows],
            tuple(surrogate.covariance(interest.rows, rows, j) for j in objectives),
            tuple(posterior.sd[rows, j] ** 2 for j in objectives),
            burst_sd**2,
            (interest.worth[:, None] * shares / np.maximum(sd**2, 1e-12)).T,
        )

    def gain(self) -> Floats:
        """What a burst at each of `rows` tells of all that is of interest, shape (c,)."""
        learned = _gain(self.weights, self.across, self.own, self.noise) * self.feasible
        return learned + self.interest.serving[self.rows]

    def told(self, column: int) -> Floats:
        """What a burst at one of `rows` tells of each point of interest, shape (i,)."""
        parts = [
            self.weights[j] * across[:, column] ** 2 / (self.own[j][column] + self.noise[j])
            for j, across in enumerate(self.across)
        ]
        learned: Floats = np.sum(parts, axis=0) * self.feasible[column]
        return learned

    def share(self, column: int) -> Floats:
        """The share of each point's worth that a burst at one of `rows` tells, shape (i,)."""
        shares: Floats = self.told(column) / self.interest.worth
        return shares

    def sequence(
        self, surrogate: Surrogate, chosen: Indices, most: int
    ) -> tuple[list[int], Floats]:
        """Up to `most` of the columns `chosen`, each the best after those before, and their gains.

        What one burst has told, the next one need not tell.
        """
        objectives = range(len(self.across))
        across = [self.across[j][:, chosen] for j in objectives]
        own = [self.own[j][chosen] for j in objectives]
        rows = self.rows[chosen]
        likeliest = surrogate.likeliest()
        between = [likeliest.covariance(rows, rows, j) for j in objectives]
        left = np.ones(len(chosen), dtype=np.bool_)
        serving, scenario = self.interest.serving[rows], surrogate.candidates.scenario[rows]
        order, gains = [], []
        for _ in range(min(most, len(chosen))):
            learned = _gain(self.weights, across, own, self.noise)
            gain = learned * self.feasible[chosen] + serving
            best = int(np.argmax(np.where(left, gain, -1.0)))
            order.append(int(chosen[best]))
            gains.append(float(gain[best]))
            left[best] = False
            # Of the others in its scenario it is known then, more or less.
            serving = np.where(scenario == scenario[best], 0.0, serving)
            for j in objectives:
                column = between[j][:, best] / (own[j][best] + self.noise[j])
                across[j] = across[j] - np.outer(across[j][:, best], column)
                between[j] = between[j] - np.outer(between[j][:, best], column)
                own[j] = np.maximum(np.diag(between[j]), 0.0)
        return order, np.array(gains)


def _gain(
    weights: Floats, across: Sequence[Floats], own: Sequence[Floats], noise: Floats
) -> Floats:
    gains = np.zeros(across[0].shape[1])
    for j, covariances in enumerate(across):
        gains += (weights[j] @ covariances**2) / (own[j] + noise[j])
    return gains
