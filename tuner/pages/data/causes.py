"""Why configurations are not on the front: the cause of each, as far as the counters show one.

A configuration is compared with those that dominate it: on the front of its own scenario, or on
the overall front where none does there. A cause holds where its counter is beyond a threshold and
worse than theirs; of several, the main one is the first of `CAUSES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.pareto import minimised
from tuner.pages.data.cause_rules import CAUSES, NOISE, UNKNOWN, UNSTABLE
from tuner.pages.data.counters import medians, table
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary


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


def explained(record: StudyRecord, summary: Summary) -> tuple[Explained, ...]:
    """Every dominated configuration, and those that are unstable or were cut short."""
    front = {t.number for t in summary.front}
    beaten = [
        p
        for p in summary.pooled.values()
        if not p.infeasible and p.representative.number not in front
    ]
    rivals = _rivals(record, summary, beaten)
    own = table([p.representative for p in beaten])
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
        own = fronts.get(record.search_space.scenario_of(p.configuration), ([], overall[1][:0]))
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
