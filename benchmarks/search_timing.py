"""How long a proposal takes when a study has so many trials."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from benchmarks.search_contenders import (
    Contender,
    costs,
    new_study,
    recorded,
    tell,
)
from benchmarks.search_truth import Problem
from tuner.measure.record import ATTRIBUTE
from tuner.search.distributions import distributions
from tuner.search.study_sampler import ask

VISITED = 0.8
"""Share of the configurations that the trials are of; beyond that, they are repeats."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the first proposal of a process, and median of those that follow."""

    first: float
    later: float


def timed(contender: Contender, problem: Problem, trials: int, proposals: int = 5) -> Timing:
    """After `trials` random ones, the proposals themselves told in between."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(1)
    study = new_study(problem, contender.sampler(problem, 1, trials, "0"))
    size = len(problem.truth)
    pool = rng.permutation(size)[: int(VISITED * size)]
    stored = distributions(problem.space)
    for row in np.concatenate([pool, rng.choice(pool, trials)])[:trials].tolist():
        measured = problem.measure(row, rng)
        number, at = len(study.get_trials(deepcopy=False)), problem.configurations[row]
        spent = costs(problem, row, stayed=False)
        record = recorded(problem, number, at, measured, np.array([1000.0, 1000.0]), spent)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=list(record.values),
                params=dict(at),
                distributions=stored,
                user_attrs={ATTRIBUTE: record.to_json()},
                constraints=dict(record.violations),
            )
        )
    seconds = []
    for _ in range(proposals):
        since = time.perf_counter()
        trial, at = ask(study, problem.space)
        seconds.append(time.perf_counter() - since)
        row = problem.lattice.index(at)
        assert row is not None
        spent = costs(problem, row, stayed=False)
        tell(problem, study, trial, problem.measure(row, rng), problem.truth[pool], spent)
    return Timing(seconds[0], float(np.median(seconds[1:])))
