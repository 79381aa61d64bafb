"""The trials that wait: initial design, baselines, confirmations, repeats, and what broke."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tuner.errors import InputError
from tuner.measure.record import TrialRecord
from tuner.model.initial_design import initial_trials, starts
from tuner.model.memory_floor import with_enough_memory
from tuner.model.observations import Observation
from tuner.results.confirmation import next_to_confirm
from tuner.search.distributions import configuration, configuration_of
from tuner.search.study_sampler import HOST_KIND, queue
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.storage import (
    AGAIN,
    BASELINE,
    BROKE,
    CONFIRMS,
    PASS,
    REPEAT,
    SEEDED,
    record_so_far,
)

REPEATS = (BASELINE, REPEAT, CONFIRMS)
"""Attributes of trials that measure a configuration again on purpose."""


@dataclass(frozen=True)
class NextTrial:
    """A trial that this worker measures now.

    A `fresh` trial needs a deployment of its own. A `prunable` one is no baseline, no repeat and
    no point of a grid: those are measured to the end. `done` are the records of the complete
    trials, by number, at the time when it was taken. `same_end` is an earlier trial of the same
    deployment, which never came up; this trial need not be tried then.
    """

    trial: Trial
    configuration: Configuration
    fresh: bool
    prunable: bool
    done: tuple[TrialRecord, ...]
    same_end: TrialRecord | None = None


def queue_start(spec: StudySpec, study: Study, done: Sequence[TrialRecord]) -> bool:
    """Queue the next configuration of the initial design; whether there was one.

    Where the trials that are `done` make its memory improbable, it has the least memory that is
    not. A kill in between does no harm.
    """
    seeded = study.user_attrs.get(SEEDED, 0)
    if seeded is True:
        return False
    space = spec.search_space
    first = starts(space, initial_trials(spec.budget.trials), spec.seed, spec.search)
    seen = [Observation.of(record, ()) for record in done]
    present = {configuration_of(space, trial) for trial in study.get_trials(deepcopy=False)}
    for number, start in enumerate(first[seeded:], seeded + 1):
        configuration = with_enough_memory(space, seen, start)
        new = configuration not in present
        if new:
            queue(study, space, configuration)
        study.set_user_attr(SEEDED, number == len(first) or number)
        if new:
            return True
    return False


def starts_left(study: Study) -> bool:
    """Whether the initial design has configurations that were not queued yet."""
    return study.user_attrs.get(SEEDED) is not True


def queue_baseline(spec: StudySpec, study: Study) -> bool:
    """Queue the baseline again where it is due, to see whether the host has changed.

    Returns whether it was queued. Trials that other workers measure now count as measured.
    """
    space, defaults = spec.search_space, spec.search_space.baseline()
    states = (TrialState.COMPLETE, TrialState.RUNNING)
    trials = reversed(study.get_trials(deepcopy=False, states=states))
    since = itertools.takewhile(lambda t: configuration_of(space, t) != defaults, trials)
    due = spec.baseline_every and len(list(since)) >= spec.baseline_every and not waiting(study)
    if due:
        queue(study, space, defaults, {BASELINE: True})
    return bool(due)


def confirmation_is_due(spec: StudySpec, study: Study, done: Sequence[TrialRecord]) -> bool:
    """Whether a candidate for the front is to be measured again.

    `search.confirm` is a share of the budget's trials, which is spread over its second half. `done`
    are the records of the complete trials. Never while other trials wait, and never where the full
    grid is measured.
    """
    share, total = spec.search.confirm, _total(spec, done)
    if share <= 0 or spec.search.sampler == "grid" or total is None or waiting(study):
        return False
    half = total / 2
    if len(done) < half:
        return False
    due = share * total * min(1.0, (len(done) + 1 - half) / half)
    return _queued(study) + 1 <= due


def candidate(spec: StudySpec, done: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial of which a confirmation says most; None where there is none."""
    return next_to_confirm(record_so_far(spec, done))


def queue_confirmation(spec: StudySpec, study: Study, chosen: TrialRecord | None) -> bool:
    """Queue a candidate to be measured again; whether there was one."""
    if chosen is None:
        return False
    queue(study, spec.search_space, chosen.configuration, {CONFIRMS: chosen.number})
    return True


def queue_baseline_of(spec: StudySpec, study: Study, host_kind: str) -> bool:
    """Queue the baseline for a kind of host that has not measured it where others measure too.

    Returns whether it was queued. What one kind takes more than another is learned from it.
    """
    if spec.hosts == "alike" or not host_kind:
        return False
    states = (TrialState.COMPLETE, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    kinds = {t.user_attrs.get(HOST_KIND, "") for t in trials}
    defaults = spec.search_space.baseline()
    measured = any(
        t.user_attrs.get(HOST_KIND) == host_kind
        and configuration_of(spec.search_space, t) == defaults
        for t in trials
    )
    due = bool(kinds - {host_kind}) and not measured
    if due:
        queue(study, spec.search_space, defaults, {BASELINE: True})
    return due


def queue_rounds(spec: StudySpec, study: Study, chosen: Sequence[TrialRecord], rounds: int) -> None:
    """Queue the candidates and the baseline once per round, each round in an order of its own.

    A change of the host then affects all of them alike.
    """
    defaults = spec.search_space.baseline()
    number = len(study.get_trials(deepcopy=False))
    for turn in range(rounds):
        rng = np.random.default_rng([spec.seed, number, turn])
        for i in rng.permutation(len(chosen) + 1):
            if i < len(chosen):
                again = chosen[i]
                queue(study, spec.search_space, again.configuration, {CONFIRMS: again.number})
            else:
                queue(study, spec.search_space, defaults, {BASELINE: True})


def is_repeat(trial: Trial) -> bool:
    """Whether a trial measures what was measured before, to see how far bursts differ."""
    return any(name in trial.user_attrs for name in REPEATS)


def queue_repeat(spec: StudySpec, study: Study, number: int) -> None:
    """Queue the configuration of trial `number` to be measured once more.

    Raises InputError when there is no such complete trial.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number == number:
            repeated = configuration(spec.search_space, trial.params)
            queue(study, spec.search_space, repeated, {REPEAT: number})
            return
    raise InputError(
        f"there is no complete trial {number} in study {spec.name!r}", "see `tune show`"
    )


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue the configuration of `trial` once more, for the purpose that the trial had."""
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


def times_broken(spec: StudySpec, study: Study, trial: Trial) -> int:
    """How often a fault of the world has ended what `trial` measures, in earlier trials."""
    space, number = spec.search_space, trial.user_attrs.get(PASS)
    wanted = configuration_of(space, study.get_trials(deepcopy=False)[trial.number])
    return sum(
        BROKE in other.user_attrs
        and other.user_attrs.get(PASS) == number
        and configuration_of(space, other) == wanted
        for other in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    )


def waiting(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _total(spec: StudySpec, done: Sequence[TrialRecord]) -> float | None:
    """The trials of the whole budget, estimated where it is in seconds; None without a budget."""
    limits = [] if spec.budget.trials is None else [float(spec.budget.trials)]
    if spec.budget.seconds is not None and done:
        limits.append(spec.budget.seconds / max(median(t.seconds for t in done), 1e-3))
    return max(float(len(done)), min(limits)) if limits else None


def _queued(study: Study) -> int:
    """How many confirmations were queued so far and did not fail."""
    states = Counter(t.state for t in study.get_trials(deepcopy=False) if CONFIRMS in t.user_attrs)
    return sum(states.values()) - states[TrialState.FAIL]
