"""Measuring again what is, or nearly is, on a front: what to queue, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

import numpy as np
from optuna.study import Study
from optuna.trial import TrialState

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.pooled import Pooled, chances_of, pooled
from tuner.search.asking import queue
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.queue import BASELINE, CONFIRMS, waiting

_LEAST_CHANCE = 0.1
"""What is on its front with less probability is not worth another burst."""


def queue_due(spec: StudySpec, study: Study, done: Sequence[TrialRecord]) -> bool:
    """Queue a candidate to be measured again, where `search.confirm` says that one is due.

    That share of the budget's trials is spread over its second half. `done` are the records of the
    complete trials. Whether something was queued: never while other trials wait, nor where the
    whole grid is measured.
    """
    share, total = spec.search.confirm, _total(spec, done)
    if share <= 0 or spec.search.sampler == "grid" or total is None or waiting(study):
        return False
    half = total / 2
    if len(done) < half:
        return False
    due = share * total * min(1.0, (len(done) + 1 - half) / half)
    if _queued(study) + 1 > due:
        return False
    chosen = next_to_confirm(_record(spec, done))
    if chosen is None:
        return False
    queue(study, spec.search_space, chosen.configuration, {CONFIRMS: chosen.number})
    return True


def next_to_confirm(study: StudyRecord) -> TrialRecord | None:
    """A burst of the configuration whose next burst says most about its scenario's front.

    Of those that may be on it, one of those measured least often; of these the one whose place is
    least certain. None where nothing feasible was measured.
    """
    known, chance = with_chances(study)
    worth = [i for i, p in enumerate(known) if p.eligible and chance[i] >= _LEAST_CHANCE]
    if not worth:
        return None
    best = min(worth, key=lambda i: (len(known[i].bursts), abs(chance[i] - 0.5), i))
    return known[best].representative


def candidates(study: StudyRecord, top: int) -> tuple[TrialRecord, ...]:
    """At most `top` trials whose configurations are the most likely on the front of their scenario
    or on the overall one (the sum of both probabilities), those next to a front included; of equals
    the ones measured least often. The baseline is not among them: it is measured with them.
    """
    known, chance = with_chances(study)
    overall = chances_of(known).tolist()
    defaults = study.search_space.baseline()
    worth = [
        i
        for i, p in enumerate(known)
        if p.eligible and p.configuration != defaults and chance[i] + overall[i] > 0
    ]
    ranked = sorted(worth, key=lambda i: (-round(chance[i] + overall[i], 2), len(known[i].bursts)))
    return tuple(known[i].representative for i in ranked[:top])


def queue_rounds(spec: StudySpec, study: Study, chosen: Sequence[TrialRecord], rounds: int) -> None:
    """Queue the candidates and the baseline once per round, each round in an order of its own.

    So what changes on the host in the meantime befalls all of them alike.
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


def with_chances(study: StudyRecord) -> tuple[tuple[Pooled, ...], list[float]]:
    """Every configuration with P(on the front of its scenario), from its own bursts only."""
    known = pooled(study)
    groups: dict[Configuration, list[int]] = {}
    for i, one in enumerate(known):
        groups.setdefault(study.search_space.scenario_of(one.configuration), []).append(i)
    chance = np.zeros(len(known))
    for indices in groups.values():
        chance[indices] = chances_of([known[i] for i in indices])
    return known, chance.tolist()


def _total(spec: StudySpec, done: Sequence[TrialRecord]) -> float | None:
    """Trials of the whole budget, or more where more were asked for."""
    limits = [] if spec.budget.trials is None else [float(spec.budget.trials)]
    if spec.budget.seconds is not None and done:
        limits.append(spec.budget.seconds / max(median(t.seconds for t in done), 1e-3))
    return max(float(len(done)), min(limits)) if limits else None


def _queued(study: Study) -> int:
    """Trials that were queued here before and did not fail."""
    states = Counter(t.state for t in study.get_trials(deepcopy=False) if CONFIRMS in t.user_attrs)
    return sum(states.values()) - states[TrialState.FAIL]


def _record(spec: StudySpec, done: Sequence[TrialRecord]) -> StudyRecord:
    return StudyRecord(
        *(spec.name, spec.model.name, spec.search_space, spec.objectives, spec.constraints),
        serving={},
        environment={},
        trials=tuple(done),
        precision=spec.load.precision,
    )
