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
    """Every dominated configuration, and those that are unstable or were cut short."""
    front = {t.number for t in summary.front}
    beaten = [
        p
        for p in summary.pooled.values()
        if not p.infeasible and p.representative.number not in front
    ]
    rivals = _rivals(record, summary, beaten)
    own = counter_table([p.representative for p in beaten])
    theirs = medians([[r.representative for r in some] for some, _ in rivals])
    ties = np.array([_tie(p, some) for p, (some, _) in zip(beaten, rivals, strict=True)], np.bool_)
    within = np.array([w for _, w in rivals], dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        holds = {c.name: c.holds(own, theirs) & (within if c.spare else ~ties) for c in CAUSES}
    found = []
    for i, (p, (some, _)) in enumerate(zip(beaten, rivals, strict=True)):
        named = tuple(name for name, true in holds.items() if true[i])
        rest = NOISE if ties[i] else UNKNOWN
        main = (UNSTABLE,) if p.unstable else named or (rest,)
        found.append(Explained(p, main, tuple(r.representative for r in some), bool(within[i])))
    return tuple(found)


def _rivals(
    record: StudyRecord, summary: Summary, beaten: Sequence[Pooled]
) -> list[tuple[list[Pooled], bool]]:
    """Those on the front of its scenario that dominate each; else those on the overall front.

    What was cut short, or is unstable, may be dominated by none: then it is the whole front.
    """
    directions = [o.direction for o in record.objectives]

    def front(trials: Sequence[TrialRecord]) -> tuple[list[Pooled], Floats]:
        some = [summary.pooled[t.number] for t in trials]
        return some, minimised([p.values for p in some], directions)

    overall = front(summary.front)
    fronts = {s.scenario: front(s.front) for s in summary.scenarios}
    found = []
    for p, point in zip(beaten, minimised([p.values for p in beaten], directions), strict=True):
        own = fronts.get(record.scenario_of(p.configuration), ([], overall[1][:0]))
        for (some, points), within in ((own, True), (overall, not fronts)):
            better = (points <= point).all(axis=1) & (points < point).any(axis=1)
            if better.any():
                found.append(([some[k] for k in np.flatnonzero(better)], within))
                break
        else:
            found.append((own[0] or overall[0], bool(own[0])))
    return found


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
    """Of each configuration that is not on the overall front, by its representative trial."""
    known = tuple(summary.pooled.values())
    dominated = with_causes(record, summary)
    infeasible = tuple(p for p in known if p.infeasible)
    every = [p.configuration for p in known]
    # What cannot serve has its region too; beside it, any other would look like one.
    serving = [p.configuration for p in known if not p.infeasible]
    groups = (*_dominated(record, dominated, serving), *_failed(record, infeasible, every))
    return Causes(len(known), dominated, infeasible, groups)


def _dominated(
    record: StudyRecord, dominated: Sequence[Explained], among: Sequence[Configuration]
) -> tuple[Group, ...]:
    shown = {c.name: c.shown for c in CAUSES}
    found = []
    for cause in MEANINGS:
        some = [e for e in dominated if e.causes[0] == cause]
        if not some:
            continue
        own = counter_table([e.trial for e in some])
        theirs = medians([e.rivals for e in some])
        evidence = tuple(
            CounterEvidence(name, *(float(median(t[name][:, None])[0]) for t in (own, theirs)))
            for name in shown.get(cause, ())
        )
        found.append(
            Group(
                cause,
                "dominated",
                tuple(e.trial.number for e in some),
                sum(cause in e.causes[1:] for e in dominated),
                sum(e.within for e in some),
                evidence,
                some[0].pooled.unstable if cause == UNSTABLE else "",
                region(record.search_space, [e.pooled.configuration for e in some], among),
            )
        )
    return tuple(sorted(found, key=lambda g: -len(g.trials)))


def _failed(
    record: StudyRecord, infeasible: Sequence[Pooled], among: Sequence[Configuration]
) -> tuple[Group, ...]:
    """By reason, without how often it was seen."""
    by_reason: dict[str, list[Pooled]] = {}
    for p in infeasible:
        failed = next((t for t in p.trials if t.outcome == "infeasible"), None)
        by_reason.setdefault(p.infeasible if failed is None else failed.reason, []).append(p)
    found = []
    for reason, some in by_reason.items():
        details = [t.detail for p in some for t in p.trials if t.detail]
        numbers = tuple(p.representative.number for p in some)
        where = region(record.search_space, [p.configuration for p in some], among)
        detail = details[0] if details else ""
        found.append(Group(reason, "infeasible", numbers, 0, 0, (), detail, where))
    return tuple(sorted(found, key=lambda g: -len(g.trials)))
