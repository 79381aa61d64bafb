"""Which configurations are on a front, on which ones, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.outcomes import default_decision
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.spec.space import Configuration

_Front = tuple[Configuration | None, tuple[TrialRecord, ...], TrialRecord | None]


@dataclass(frozen=True, eq=False)
class OnFronts:
    """A configuration that is on `fronts`: scenarios, or None for the overall front.

    Those of `recommends` recommend it. `reference` is what it is compared with: the decisions of
    the baseline in its own scenario where they were measured there (`alike`), else the baseline;
    None where that was not measured or is the configuration itself.
    """

    pooled: Pooled
    fronts: tuple[Configuration | None, ...]
    recommends: tuple[Configuration | None, ...]
    reference: Pooled | None
    alike: bool


def on_fronts(study: StudyRecord, summary: Summary) -> tuple[OnFronts, ...]:
    """Every configuration of any front once: the overall front's first, in each front's order."""
    memberships: dict[int, tuple[list[Configuration | None], list[Configuration | None]]] = {}
    fronts: list[_Front] = [(None, summary.front, summary.recommended)]
    if len(summary.scenarios) > 1:
        fronts += [(s.scenario, s.front, s.recommended) for s in summary.scenarios]
    for scenario, front, best in fronts:
        for trial in front:
            fronts_of, recommends = memberships.setdefault(trial.number, ([], []))
            fronts_of.append(scenario)
            if best is not None and best.number == trial.number:
                recommends.append(scenario)
    measured = {p.configuration: p for p in summary.pooled.values() if p.bursts}
    return tuple(
        _on_fronts(study, summary.pooled[number], tuple(of), tuple(recommends), measured)
        for number, (of, recommends) in memberships.items()
    )


def _on_fronts(
    study: StudyRecord,
    pooled: Pooled,
    fronts: tuple[Configuration | None, ...],
    recommends: tuple[Configuration | None, ...],
    measured: Mapping[Configuration, Pooled],
) -> OnFronts:
    space = study.search_space
    here = default_decision(study, study.scenario_of(pooled.configuration))
    for configuration, alike in ((here, True), (space.baseline(), False)):
        if configuration in measured:
            reference = measured[configuration]
            other = None if reference is pooled else reference
            return OnFronts(pooled, fronts, recommends, other, alike)
    return OnFronts(pooled, fronts, recommends, None, alike=False)
