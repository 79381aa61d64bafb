"""How much more, or less, bursts of one scenario differ than those of the whole study. Pure.

Bursts of one configuration differ by more than what is uncertain of each. How much more is learned
as one number for each objective. But a CPU limit that is always reached gives the same CPU usage
every time, and one client on a lossy network gives another one in each burst. What repeated
bursts show of their scenario says so.
"""

from __future__ import annotations

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.repeatability import RepeatedBursts

BELIEVED = 4.0
"""So many repeats' worth of belief that a scenario's bursts differ as the study's do. It is the
prior of an inverse chi-squared variance (Smyth, Statistical Applications in Genetics and Molecular
Biology 3(1), 2004, shares variances between groups in this way)."""

LEAST, MOST = 0.2, 5.0
"""No scenario's bursts are taken to differ by less or more than so many times the usual."""


def noise_factors(values: Floats, variance: Floats, rows: Indices, scenario: Indices) -> Floats:
    """By how much the deviation of each burst is multiplied, shape (N,).

    Of N bursts: `values` are logarithms, `variance` what is said to be uncertain of each, `rows`
    tells configurations apart and `scenario` scenarios. The squared deviations of a scenario's
    repeated bursts are compared with what they should be: with `variance`, and with what bursts of
    all scenarios differ beyond that. All ones where too little was repeated.
    """
    _, config, counts = np.unique(rows, return_inverse=True, return_counts=True)
    order = np.argsort(config, kind="stable")
    repeated = order[counts[config[order]] > 1]
    config, value, own = config[repeated], values[repeated], variance[repeated]
    usual = RepeatedBursts(value, own, config).repeatability()
    if usual is None or not (own + usual.relative_sd**2).all():
        return np.ones(len(values))
    weights = 1.0 / (own + usual.relative_sd**2)
    _, config = np.unique(config, return_inverse=True)
    means = np.bincount(config, weights * value) / np.bincount(config, weights)
    _, groups = np.unique(scenario, return_inverse=True)
    of = groups[repeated]
    squares = np.bincount(of, weights * (value - means[config]) ** 2, groups.max() + 1)
    degrees = np.bincount(of, 1.0 - 1.0 / np.bincount(config)[config], groups.max() + 1)
    ratios = (BELIEVED + squares) / (BELIEVED + degrees)
    factors: Floats = np.sqrt(np.clip(ratios, LEAST**2, MOST**2))[groups]
    return factors
