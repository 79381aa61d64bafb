"""How much more, or less, bursts of one scenario differ than those of the whole study. Pure."""

from __future__ import annotations

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.repeatability import RepeatedBursts


def noise_factors(values: Floats, variance: Floats, rows: Indices, scenario: Indices) -> Floats:
    """By how much the deviation of each burst is multiplied, shape (N,).

    Of N bursts: `values` are logarithms, `variance` what is said to be uncertain of each, `rows`
    tells configurations apart and `scenario` scenarios. `RepeatedBursts.factors` says how it is
    learned; one where nothing is.
    """
    _, config, counts = np.unique(rows, return_inverse=True, return_counts=True)
    order = np.argsort(config, kind="stable")
    repeated = order[counts[config[order]] > 1]
    bursts = RepeatedBursts(values[repeated], variance[repeated], config[repeated])
    learned = bursts.factors(scenario[repeated])
    return np.array([learned.get(s, 1.0) for s in scenario.tolist()], dtype=np.float64)
