"""What a study is to run next, put in line: starts, baselines, repeats, and what broke."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tuner.errors import InputError
from tuner.model.initial_design import bursts_each, start_configurations, start_count
from tuner.search.asking import queue
from tuner.search.distributions import configuration, configuration_of
from tuner.spec.study import StudySpec
from tuner.study.grid import PASS

SEEDED = "seeded"
BASELINE = "baseline again"
REPEAT = "repeat of"
CONFIRMS = "confirms"
AGAIN = "again"
"""Attributes of a study or of its trials."""

REPEATS = (BASELINE, REPEAT, CONFIRMS)
"""Those of trials that measure a configuration again on purpose."""


def seed(spec: StudySpec, study: Study) -> None:
    """Queue the baseline, corners and Sobol points once; safe to be killed in between."""
    if study.user_attrs.get(SEEDED):
        return
    space = spec.search_space
    starts = start_configurations(
        space,
        start_count(spec.budget.trials),
        spec.seed,
        each=bursts_each(spec.search),
    )
    there = {configuration_of(space, trial) for trial in study.get_trials(deepcopy=False)}
    for number, start in enumerate(starts):
        due = number > 1 and spec.baseline_every and (number - 1) % spec.baseline_every == 0
        if due:
            queue(study, space, space.baseline(), {BASELINE: True})
        if start not in there:
            queue(study, space, start)
    study.set_user_attr(SEEDED, True)


def queue_baseline(spec: StudySpec, study: Study) -> bool:
    """Queue the baseline again where it is due, to see whether the host is what it was.

    Whether it was queued. Trials that other workers measure now count as measured.
    """
    space, defaults = spec.search_space, spec.search_space.baseline()
    states = (TrialState.COMPLETE, TrialState.RUNNING)
    trials = reversed(study.get_trials(deepcopy=False, states=states))
    since = itertools.takewhile(lambda t: configuration_of(space, t) != defaults, trials)
    due = spec.baseline_every and len(list(since)) >= spec.baseline_every and not waiting(study)
    if due:
        queue(study, space, defaults, {BASELINE: True})
    return bool(due)


def is_repeat(trial: Trial) -> bool:
    """Whether a trial measures what was measured before, to see how far bursts differ."""
    return any(name in trial.user_attrs for name in REPEATS)


def repeat(spec: StudySpec, study: Study, number: int) -> None:
    """Queue the configuration of trial `number` to be measured once more.

    Raises InputError when there is no such complete trial.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number == number:
            asked = configuration(spec.search_space, trial.params)
            queue(study, spec.search_space, asked, {REPEAT: number})
            return
    raise InputError(
        f"there is no complete trial {number} in study {spec.name!r}", "see `tune show`"
    )


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue once what `trial` was to measure, for the purpose that it had."""
    fixed: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
    again = any(
        other.user_attrs.get(AGAIN) == trial.number for other in study.get_trials(deepcopy=False)
    )
    if again or not (trial.params or fixed):
        return
    purpose = {k: v for k, v in trial.user_attrs.items() if k in (*REPEATS, PASS)}
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={AGAIN: trial.number, **purpose},
            system_attrs={"fixed_params": dict(fixed)} if fixed else None,
        )
    )


def waiting(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
