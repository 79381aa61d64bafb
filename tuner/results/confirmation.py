"""Measuring candidates for the fronts again: which ones, and what that showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.chances import behind
from tuner.results.pooled import Pooled, chances_of, pooled
from tuner.results.summary import summarise
from tuner.spec.space import Configuration

_LEAST_CHANCE = 0.1
"""What is on its front with less probability is not worth another burst."""


Status = Literal["kept", "joined", "tied", "demoted", "near"]
"""Of a configuration: on its front before and after; only after; not after, though more likely than
not within 2 % of it; only before; neither."""


@dataclass(frozen=True)
class Confirmed:
    """A configuration that was measured again.

    `trial` is the one that was asked for, `bursts` how many there are now. `estimates` are the
    averages of its bursts with 95 % intervals, in the study's order of objectives. `before` and
    `after` are the probabilities that it is on the front of its scenario, or within 2 % of it.
    `reason` says why it is not on that front, empty where it is.
    """

    configuration: Configuration
    trial: int
    bursts: int
    estimates: tuple[Estimate, ...]
    before: float
    after: float
    status: Status
    reason: str


@dataclass(frozen=True)
class FrontChange:
    """How a front changed, as trials; `scenario` is None for the overall one."""

    scenario: Configuration | None
    lost: tuple[TrialRecord, ...]
    gained: tuple[TrialRecord, ...]
    size: int


@dataclass(frozen=True)
class Confirmation:
    """`baseline` is None where it could not be measured. `trials` are the new ones' numbers."""

    baseline: Confirmed | None
    candidates: tuple[Confirmed, ...]
    changes: tuple[FrontChange, ...]
    trials: tuple[int, ...]


_TIED = 0.5

_Fronts = dict[Configuration | None, tuple[TrialRecord, ...]]


def next_to_confirm(study: StudyRecord) -> TrialRecord | None:
    """A burst of the configuration whose next burst says most.

    First what is recommended and rests on one burst. Then, of what may be on its scenario's front,
    one of those measured least often; of these the one whose place is least certain. None where
    nothing feasible was measured.
    """
    configurations, chance = _with_chances(study)
    single = [
        chosen.pooled
        for chosen in summarise(study).recommendations.values()
        if len(chosen.pooled.bursts) == 1
    ]
    if single:
        return single[0].representative
    worth = [i for i, p in enumerate(configurations) if p.eligible and chance[i] >= _LEAST_CHANCE]
    if not worth:
        return None
    best = min(worth, key=lambda i: (len(configurations[i].bursts), abs(chance[i] - 0.5), i))
    return configurations[best].representative


def confirmation_candidates(study: StudyRecord, top: int) -> tuple[TrialRecord, ...]:
    """At most `top` trials whose configurations are the most likely on the front of their scenario
    or on the overall one (the sum of both probabilities), those next to a front included; of equals
    the ones measured least often. The baseline is not among them: it is measured with them.
    """
    configurations, chance = _with_chances(study)
    overall = chances_of(configurations).tolist()
    defaults = study.search_space.baseline()
    worth = [
        i
        for i, p in enumerate(configurations)
        if p.eligible and p.configuration != defaults and chance[i] + overall[i] > 0
    ]
    ranked = sorted(
        worth, key=lambda i: (-round(chance[i] + overall[i], 2), len(configurations[i].bursts))
    )
    return tuple(configurations[i].representative for i in ranked[:top])


def confirmed(
    before: StudyRecord, after: StudyRecord, chosen: Sequence[TrialRecord]
) -> Confirmation:
    """Compare a study before and after `chosen` were measured again."""
    configurations, chances = _with_chances(after)
    old = {p.configuration: c for p, c in zip(*_with_chances(before), strict=True)}
    index = {p.configuration: i for i, p in enumerate(configurations)}
    fronts, fronts_before = _fronts(after), _fronts(before)

    def look(configuration: Configuration, trial: int) -> Confirmed:
        i = index[configuration]
        own = _own_front(after, fronts, configuration)
        is_on = any(t.configuration == configuration for t in own)
        was_on = any(
            t.configuration == configuration
            for t in _own_front(before, fronts_before, configuration)
        )
        on = [configurations[index[t.configuration]] for t in own]
        status: Status
        if is_on:
            status = "kept" if was_on else "joined"
        else:
            status = "tied" if chances[i] >= _TIED else "demoted" if was_on else "near"
        return Confirmed(
            configuration,
            trial,
            len(configurations[i].bursts),
            tuple(configurations[i].estimate(j) for j in range(len(after.objectives))),
            old.get(configuration, 0.0),
            chances[i],
            status,
            "" if is_on else _why_not(configurations[i], chances[i], on),
        )

    baseline = after.baseline
    new = {t.number for t in after.trials} - {t.number for t in before.trials}
    return Confirmation(
        None if baseline is None else look(baseline.configuration, baseline.number),
        tuple(look(t.configuration, t.number) for t in chosen),
        tuple(_changes(fronts_before, fronts)),
        tuple(sorted(new)),
    )


def _with_chances(study: StudyRecord) -> tuple[tuple[Pooled, ...], list[float]]:
    """Every configuration, and its probability of being on its scenario's front.

    The probability uses the configuration's own bursts only.
    """
    configurations = pooled(study)
    groups: dict[Configuration, list[int]] = {}
    for i, p in enumerate(configurations):
        groups.setdefault(study.scenario_of(p.configuration), []).append(i)
    chance = np.zeros(len(configurations))
    for indices in groups.values():
        chance[indices] = chances_of([configurations[i] for i in indices])
    return configurations, chance.tolist()


def _fronts(study: StudyRecord) -> _Fronts:
    summary = summarise(study)
    return {None: summary.front, **{s.scenario: s.front for s in summary.scenarios}}


def _own_front(
    study: StudyRecord, fronts: _Fronts, configuration: Configuration
) -> tuple[TrialRecord, ...]:
    scenario = study.scenario_of(configuration)
    return fronts.get(scenario or None, ())


def _why_not(candidate: Pooled, chance: float, on_front: Sequence[Pooled]) -> str:
    if candidate.infeasible or candidate.unstable:
        return candidate.infeasible or candidate.unstable
    words = f"P(front) {chance:.2f}"
    if not on_front:
        return words
    leads = [float(behind(candidate.mean[None], p.mean[None])[0]) for p in on_front]
    best = int(np.argmax(leads))
    less = ", less than can be told" if chance >= _TIED else ""
    return (
        f"{words}: trial {on_front[best].representative.number} is better by"
        f" {100 * np.expm1(leads[best]):.1f} % or more in everything{less}"
    )


def _changes(before: _Fronts, after: _Fronts) -> list[FrontChange]:
    changes = []
    for scenario, front in after.items():
        old = before.get(scenario, ())
        present, earlier = ({t.configuration for t in trials} for trials in (front, old))
        lost = tuple(t for t in old if t.configuration not in present)
        gained = tuple(t for t in front if t.configuration not in earlier)
        if lost or gained:
            changes.append(FrontChange(scenario, lost, gained, len(front)))
    return changes
