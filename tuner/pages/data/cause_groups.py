"""Configurations that are not on the front, grouped by why: the regions of a search space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.measure.record import StudyRecord
from tuner.pages.data.cause_rules import CAUSES, MEANINGS, UNSTABLE
from tuner.pages.data.causes import Explained, explained
from tuner.pages.data.counters import median, medians, table
from tuner.pages.data.regions import region
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class Evidence:
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
    evidence: tuple[Evidence, ...]
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
    dominated = explained(record, summary)
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
        own = table([e.trial for e in some])
        theirs = medians([e.rivals for e in some])
        evidence = tuple(
            Evidence(name, *(float(median(t[name][:, None])[0]) for t in (own, theirs)))
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
