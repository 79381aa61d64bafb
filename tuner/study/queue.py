"""What a study is to run next, put in line: starts, baselines, repeats, and what died."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.deploy.ownership import Owner
from tuner.errors import InputError
from tuner.model.initial_design import bursts_each, start_configurations, start_count
from tuner.model.observations import OWNER
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

_NAMELESS_SECONDS = 2.0
"""A live process names itself as owner within milliseconds of asking."""


def seed(spec: StudySpec, study: Study) -> None:
    """Queue the baseline, corners and Sobol points once; safe to be killed in between."""
    if study.user_attrs.get(SEEDED):
        return
    starts = start_configurations(
        spec.search_space,
        start_count(spec.budget.trials),
        spec.seed,
        each=bursts_each(spec.search),
    )
    for number, start in enumerate(starts):
        due = number > 1 and spec.baseline_every and (number - 1) % spec.baseline_every == 0
        if due:
            study.enqueue_trial(dict(spec.search_space.baseline()), user_attrs={BASELINE: True})
        study.enqueue_trial(dict(start), skip_if_exists=True)
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
        study.enqueue_trial(dict(defaults), user_attrs={BASELINE: True})
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
            study.enqueue_trial(dict(asked), user_attrs={REPEAT: number})
            return
    raise InputError(
        f"there is no complete trial {number} in study {spec.name!r}", "see `tune show`"
    )


def requeue_dead(study: Study) -> list[int]:
    """Tell FAIL for RUNNING trials whose process is dead and queue their configurations again.

    Trials of live processes and of other hosts stay. A trial that was killed before it could name
    its owner is dead as soon as this process, started later, has none of its own running.
    """
    cleared = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        owner = Owner.parse(trial.user_attrs.get(OWNER, ""))
        nameless = owner is None and _age_seconds(trial) > _NAMELESS_SECONDS
        if nameless or (owner is not None and owner.dead()):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            queue_again(study, trial)
            cleared.append(trial.number)
    return cleared


def queue_again(study: Study, trial: FrozenTrial) -> None:
    params: Mapping[str, Any] = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    # What it was for stays what it is for.
    purpose = {k: v for k, v in trial.user_attrs.items() if k in (*REPEATS, PASS)}
    if params:
        study.enqueue_trial(dict(params), user_attrs={AGAIN: trial.number, **purpose})


def waiting(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _age_seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return float("inf")
    return (datetime.now() - trial.datetime_start).total_seconds()  # noqa: DTZ005 -- Optuna's times are local
