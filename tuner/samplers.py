"""The sampler of `tune` for any Optuna study."""

# ruff: noqa: ANN401, ARG002 -- the signatures are Optuna's

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuner.search.inferred_conditions import stable_distributions
from tuner.search.ordinary_study import search_of

__all__ = ["BayesSampler"]


class BayesSampler(BaseSampler):
    """Bayesian optimisation with the Gaussian processes that `tune` searches with.

        study = optuna.create_study(sampler=BayesSampler(seed=1))
        study.optimize(objective, n_trials=50)

    It needs nothing but NumPy and SciPy. It works with one objective or several, in either
    direction, with constraints (`trial.set_constraint`), with `n_jobs`, and with several processes
    that share a storage.

    What is proposed. The first `n_startup_trials` finished trials are spread over the search space
    (scrambled Sobol points). After that the configuration with the largest expected improvement (of
    several objectives: expected hypervolume improvement), times the probability that it holds all
    constraints. A configuration is not proposed twice while another one is left; where all are
    measured the best are measured again.

    What is modelled. The parameters that all complete trials have with the same distribution, as in
    Optuna's `IntersectionSearchSpace`, and beside them those that only some trials have, where a
    categorical parameter (or a whole number of few values) says which: `svc_c` where `classifier`
    is `"SVC"`. All others come from the `independent_sampler`. Each objective is a Gaussian process
    of its own, of its values bent by the power transform of Yeo and Johnson: a straight line where
    the values look normal, up to a logarithm where some are very bad, chosen by the values
    themselves. They may be negative, zero, or of any size.
    A trial that is pruned counts as one of the worse half. A trial that failed, or whose value is
    infinitely bad, says that its configuration does not work; the model learns where that is so.
    Trials that run count as measured with what the model expects of them.

    A study of model serving. Where an objective has the name of a serving metric
    (`study.set_metric_names(["art_ms", "cpu_percent"])`) and a parameter is a number called
    `concurrency`, `replicas`, `cpu`, `memory`, `loss`, `delay` or `rate`, the model starts from
    what queueing theory expects. Units are those of `tune`: cores, MiB, percent, milliseconds,
    requests per second. It gives that up where the measurements say otherwise.

    Args:
        seed: makes the proposals of a study without parallel trials repeatable; None draws one.
        n_startup_trials: how many finished trials come before the model's first proposal.
        independent_sampler: for the first trial, whose parameters nobody knows, and for parameters
            that are not modelled; None for a TPESampler with the same seed.

    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        n_startup_trials: int = 10,
        independent_sampler: BaseSampler | None = None,
    ) -> None:
        self._seed = _drawn() if seed is None else seed
        self._n_startup_trials = n_startup_trials
        self._independent_sampler = independent_sampler or TPESampler(seed=seed)

    def reseed_rng(self) -> None:
        """Draw a new seed, as Optuna asks of each worker of its own."""
        self._seed = _drawn()
        self._independent_sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that have the same distribution in all complete trials that have them."""
        return stable_distributions(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A value for each parameter of `search_space`, together."""
        if not search_space:
            return {}
        inferred, search = search_of(study, trial, search_space)
        if not inferred.parameters:
            return {}
        seed = (self._seed, trial.number)
        if len(search.observations) < max(self._n_startup_trials, 1):
            return inferred.params(search.spread(self._seed, trial.number))
        return inferred.params(search.proposal(seed))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value for one parameter that the model does not know, by `independent_sampler`."""
        return self._independent_sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As `independent_sampler` wants it."""
        self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """As `independent_sampler` wants it."""
        self._independent_sampler.after_trial(study, trial, state, values)


def _drawn() -> int:
    return int(np.random.default_rng().integers(2**31))
