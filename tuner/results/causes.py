"""Configurations that are not on the front, grouped by why: the regions of a search space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.arrays import Floats
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.pareto import minimised
from tuner.results.cause_rules import CAUSES, MEANINGS, NOISE, UNKNOWN, UNSTABLE
from tuner.results.counters import counter_table, median, medians
from tuner.results.pooled import Pooled
from tuner.results.regions import region
from tuner.results.summary import Summary
from tuner.spec.space import Configuration


@dataclass(frozen=True, eq=False)
class Explained:
    """A configuration that is not on the overall front; `causes` has the main one first.

    `rivals` dominate it: in its own scenario, if `within`.
    """

    pooled: Pooled
    causes: tuple[str, ...]
    rivals: tuple[TrialRecord, ...]
    within: bool

    @property
    def trial(self) -> TrialRecord:
        return self.pooled.representative


def with_causes(record: StudyRecord, summary: Summary) -> tuple[Explained, ...]:
    """Every configuration that is dominated, unstable or was cut short, with its causes."""
    front = {t.number for t in summary.front}
    beaten = [
        p
        for p in summary.pooled.values()
        if not p.infeasible and p.representative.number not in front
    ]
    rivals = _rivals(record, summary, beaten)
    own = counter_table([p.representative for p in beaten])
    theirs = medians([[r.representative for r in own_rivals] for own_rivals, _ in rivals])
    ties = np.array(
        [_tie(p, own_rivals) for p, (own_rivals, _) in zip(beaten, rivals, strict=True)], np.bool_
    )
    within = np.array([w for _, w in rivals], dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        holds = {c.name: c.holds(own, theirs) & (within if c.spare else ~ties) for c in CAUSES}
    explained = []
    for i, (p, (own_rivals, _)) in enumerate(zip(beaten, rivals, strict=True)):
        named = tuple(name for name, true in holds.items() if true[i])
        rest = NOISE if ties[i] else UNKNOWN
        main = (UNSTABLE,) if p.unstable else named or (rest,)
        explained.append(
            Explained(p, main, tuple(r.representative for r in own_rivals), bool(within[i]))
        )
    return tuple(explained)


def _rivals(
    record: StudyRecord, summary: Summary, beaten: Sequence[Pooled]
) -> list[tuple[list[Pooled], bool]]:
    """The rivals of each configuration, and whether they are of its own scenario.

    They are those on its scenario's front that dominate it. Where there are none, they are those on
    the overall front that do. A configuration that was cut short or is unstable may be dominated by
    none: then its rivals are the whole front.
    """
    directions = [o.direction for o in record.objectives]

    def front(trials: Sequence[TrialRecord]) -> tuple[list[Pooled], Floats]:
        members = [summary.pooled[t.number] for t in trials]
        return members, minimised([p.values for p in members], directions)

    overall = front(summary.front)
    fronts = {s.scenario: front(s.front) for s in summary.scenarios}
    rivals = []
    for p, point in zip(beaten, minimised([p.values for p in beaten], directions), strict=True):
        own = fronts.get(record.scenario_of(p.configuration), ([], overall[1][:0]))
        for (members, points), within in ((own, True), (overall, not fronts)):
            better = (points <= point).all(axis=1) & (points < point).any(axis=1)
            if better.any():
                rivals.append(([members[k] for k in np.flatnonzero(better)], within))
                break
        else:
            rivals.append((own[0] or overall[0], bool(own[0])))
    return rivals


def _tie(own: Pooled, rivals: Sequence[Pooled]) -> bool:
    """Whether the interval of every objective overlaps that of each rival."""
    if not own.bursts or not rivals:
        return False
    mine = [own.estimate(i) for i in range(len(own.values))]
    return all(
        (m.low or 0.0) <= (t.high or t.value) and (t.low or 0.0) <= (m.high or m.value)
        for r in rivals
        for m, t in ((m, r.estimate(i)) for i, m in enumerate(mine))
    )


@dataclass(frozen=True)
class CounterEvidence:
    """The median of a counter, and that of those that dominate; NaN where nobody has it."""

    counter: str
    own: float
    theirs: float


@dataclass(frozen=True)
class Group:
    """Configurations with the same main cause; with `also` those where it holds beside another.

    `region` has the values that they share; `within` counts those dominated in their own scenario.
    """

    cause: str
    end: Literal["dominated", "infeasible"]
    trials: tuple[int, ...]
    also: int
    within: int
    evidence: tuple[CounterEvidence, ...]
    detail: str
    region: str


@dataclass(frozen=True, eq=False)
class Causes:
    """`dominated` and `infeasible` ones of so many `known` configurations; each kind's `groups`
    with the largest first.
    """

    known: int
    dominated: tuple[Explained, ...]
    infeasible: tuple[Pooled, ...]
    groups: tuple[Group, ...]


def causes(record: StudyRecord, summary: Summary) -> Causes:
    """Why each configuration is not on the overall front, by its representative trial."""
    configurations = tuple(summary.pooled.values())
    dominated = with_causes(record, summary)
    infeasible = tuple(p for p in configurations if p.infeasible)
    every = [p.configuration for p in configurations]
    # What cannot serve has its region too; beside it, any other would look like one.
    serving = [p.configuration for p in configurations if not p.infeasible]
    groups = (*_dominated(record, dominated, serving), *_failed(record, infeasible, every))
    return Causes(len(configurations), dominated, infeasible, groups)


def _dominated(
    record: StudyRecord, dominated: Sequence[Explained], among: Sequence[Configuration]
) -> tuple[Group, ...]:
    shown = {c.name: c.shown for c in CAUSES}
    groups = []
    for cause in MEANINGS:
        members = [e for e in dominated if e.causes[0] == cause]
        if not members:
            continue
        own = counter_table([e.trial for e in members])
        theirs = medians([e.rivals for e in members])
        evidence = tuple(
            CounterEvidence(name, *(float(median(t[name][:, None])[0]) for t in (own, theirs)))
            for name in shown.get(cause, ())
        )
        groups.append(
            Group(
                cause,
                "dominated",
                tuple(e.trial.number for e in members),
                sum(cause in e.causes[1:] for e in dominated),
                sum(e.within for e in members),
                evidence,
                members[0].pooled.unstable if cause == UNSTABLE else "",
                region(record.search_space, [e.pooled.configuration for e in members], among),
            )
        )
    return tuple(sorted(groups, key=lambda g: -len(g.trials)))


def _failed(
    record: StudyRecord, infeasible: Sequence[Pooled], among: Sequence[Configuration]
) -> tuple[Group, ...]:
    """Infeasible configurations by a failed trial's reason, the most frequent reason first."""
    by_reason: dict[str, list[Pooled]] = {}
    for p in infeasible:
        failed = next((t for t in p.trials if t.outcome == "infeasible"), None)
        by_reason.setdefault(p.infeasible if failed is None else failed.reason, []).append(p)
    groups = []
    for reason, members in by_reason.items():
        details = [t.detail for p in members for t in p.trials if t.detail]
        numbers = tuple(p.representative.number for p in members)
        where = region(record.search_space, [p.configuration for p in members], among)
        detail = details[0] if details else ""
        groups.append(Group(reason, "infeasible", numbers, 0, 0, (), detail, where))
    return tuple(sorted(groups, key=lambda g: -len(g.trials)))
