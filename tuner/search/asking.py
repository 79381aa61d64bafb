"""How a trial begins: queued or asked for, each stored whole in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.search.distributions import snapped, stored
from tuner.search.study_sampler import Proposal, StudySampler
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value


def queue(
    study: Study,
    space: SearchSpace,
    configuration: Configuration,
    user_attrs: Mapping[str, Any] | None = None,
) -> None:
    """Add a waiting trial of this configuration.

    As `Study.enqueue_trial`, which stores the parameters one by one when the trial is asked for.
    """
    study.add_trial(_trial(TrialState.WAITING, space, Proposal(configuration, user_attrs or {})))


def ask(
    study: Study, space: SearchSpace, user_attrs: Mapping[str, Any] | None = None
) -> tuple[Trial, Configuration]:
    """A trial of `study` that is running from now on, and its configuration.

    It is the first that waits, else a new one of what the study's sampler proposes. It never runs
    without the attributes `user_attrs`. Raises SpaceExhausted where the sampler does, and there is
    no new trial then.

    Only active parameters are stored, so every Optuna tool has only these. A trial that somebody
    queued with some parameters gets the others suggested, each after those that decide about it.
    """
    attributes = dict(user_attrs or {})
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    storage = study._storage  # noqa: SLF001 -- how every Optuna sampler reaches the storage
    if isinstance(study.sampler, StudySampler) and not waiting:
        proposal = study.sampler.propose(study)
        begun = Proposal(
            proposal.configuration, {**proposal.user_attrs, **attributes}, proposal.system_attrs
        )
        new = _trial(TrialState.RUNNING, space, begun)
        identifier = storage.create_new_trial(study._study_id, new)  # noqa: SLF001
        return Trial(study, identifier), proposal.configuration
    for first in waiting[:1]:
        for name, value in attributes.items():
            storage.set_trial_user_attr(first._trial_id, name, value)  # noqa: SLF001
    trial = study.ask()
    for name, value in attributes.items():
        if trial.user_attrs.get(name) != value:  # another process took the one that was first
            trial.set_user_attr(name, value)
    values: dict[str, Value] = {}
    for parameter in space.parents_first:
        if parameter.active_in(values):
            values[parameter.name] = snapped(parameter, _suggested(trial, parameter))
    return trial, space.effective(values)


def _trial(state: TrialState, space: SearchSpace, begun: Proposal) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=state,
        params=dict(begun.configuration),
        distributions={name: stored(space[name]) for name in begun.configuration},
        user_attrs=dict(begun.user_attrs),
        system_attrs=dict(begun.system_attrs),
    )


def _suggested(trial: Trial, parameter: Parameter) -> Value:
    match stored(parameter):
        case CategoricalDistribution(choices=choices):
            return cast("Value", trial.suggest_categorical(parameter.name, choices))
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(parameter.name, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(parameter.name, low, high, log=log, step=step)
        case other:
            raise TypeError(f"no suggestion from a {type(other).__name__}")
