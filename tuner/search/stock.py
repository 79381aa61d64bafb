"""Optuna's own samplers by name: how each is built for one proposal.

Constraints reach all of them through the trials (`trial.set_constraint`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from tuner.spec.study import SamplerName


@dataclass(frozen=True)
class Seeds:
    """What a stock sampler is built from: `study` stays the same, `draw` is new per proposal.

    `startup` is the number of trials before which a model is not worth fitting.
    """

    study: int
    draw: int
    startup: int


@dataclass(frozen=True)
class Stock:
    """How a sampler is built, and how often it is asked again for a point not yet in the study."""

    build: Callable[[Seeds], BaseSampler]
    asks: int


def _qmc(seeds: Seeds) -> BaseSampler:
    """One sequence for the whole study: its position is an attribute of the study."""
    with warnings.catch_warnings():
        # It has been called experimental since Optuna 3.0; that is no news to who runs a study.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return QMCSampler(scramble=True, seed=seeds.study)


STOCK: dict[SamplerName, Stock] = {
    "bayes": Stock(lambda s: TPESampler(multivariate=True, seed=s.draw), asks=10),
    "tpe": Stock(
        lambda s: TPESampler(multivariate=True, n_startup_trials=s.startup, seed=s.draw), asks=10
    ),
    # One proposal takes about half a second, and asked again it finds the same optimum.
    "gp": Stock(
        lambda s: GPSampler(
            n_startup_trials=s.startup, seed=s.draw, warn_independent_sampling=False
        ),
        asks=1,
    ),
    # The default population of 50 would still be random at the end of a usual budget.
    "nsga2": Stock(lambda s: NSGAIISampler(population_size=20, seed=s.draw), asks=10),
    "random": Stock(lambda s: RandomSampler(seed=s.draw), asks=10),
    "qmc": Stock(_qmc, asks=30),
}
