"""Prior means of a logarithm over the search space, each with what may be wrong about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats
from tuner.model.gp import LogNormal

QUEUE_ODDS = 3.0
"""So many times likelier than a linear mean is a queueing one before anything is seen."""


@dataclass(frozen=True, eq=False)
class Trend:
    """A named prior mean, shape (n,), plus `basis` (n, k) times Gaussian coefficients of mean 0 and
    `covariance` (k, k). `signal` and `length` are the priors of the process that is
    left: its sd and its length scales; `occam` is the logarithm of its prior odds and of
    what fitting it costs its evidence.
    """

    name: str
    mean: Floats
    basis: Floats
    covariance: Floats
    signal: LogNormal
    length: LogNormal
    occam: float = 0.0


def linear(coordinates: Floats, centre: float) -> Trend:
    """Around a constant, with a slope in each coordinate."""
    slopes = coordinates - 0.5
    return Trend(
        "linear",
        np.full(len(coordinates), centre),
        np.column_stack([np.ones(len(coordinates)), slopes]),
        np.diag([2.0**2] + [1.0] * slopes.shape[1]),
        LogNormal(0.4, 0.5),
        LogNormal(0.7, 0.7),
    )


def queueing(coordinates: Floats, mean: Floats, changes: Floats, occam: float) -> Trend:
    """What a queue predicts, with its parameters' uncertainty and a small slope everywhere.

    `changes`, shape (n, k), is what one deviation of its parameters changes. The fit supposes that
    what it misses is independent from point to point, which it is not: deviations count twice.
    """
    slopes = coordinates - 0.5
    return Trend(
        "queue",
        mean,
        np.column_stack([np.ones(len(coordinates)), slopes, changes]),
        np.diag([0.3**2] + [0.05**2] * slopes.shape[1] + [4.0] * changes.shape[1]),
        LogNormal(0.22, 0.4),
        LogNormal(0.45, 0.4),
        occam + math.log(QUEUE_ODDS),
    )
