"""Which configurations are on a front or recommended, and what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.outcomes import default_decision
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.spec.space import Configuration

_Front = tuple[Configuration | None, tuple[TrialRecord, ...]]


@dataclass(frozen=True, eq=False)
class OnFronts:
    """A configuration that is on `fronts`: scenarios, or None for the overall front.

    It is recommended in the scenarios `recommends`; None stands for a study with only one.
    `reference` is what it is compared with: the decisions of the baseline in its own scenario where
    they were measured there (`alike`), else the baseline; None where that was not measured or is
    the configuration itself.
    """

    pooled: Pooled
    fronts: tuple[Configuration | None, ...]
    recommends: tuple[Configuration | None, ...]
    reference: Pooled | None
    alike: bool


def on_fronts(study: StudyRecord, summary: Summary) -> tuple[OnFronts, ...]:
    """Every configuration of any front once, the overall front's first, in each front's order; then
    those that are recommended beside them.
    """
    memberships: dict[int, tuple[list[Configuration | None], list[Configuration | None]]] = {}
    fronts: list[_Front] = [(None, summary.front)]
    if len(summary.scenarios) > 1:
        fronts += [(s.scenario, s.front) for s in summary.scenarios]
    for scenario, front in fronts:
        for trial in front:
            memberships.setdefault(trial.number, ([], []))[0].append(scenario)
    for scenario, chosen in summary.recommendations.items():
        # It may be on no front: it reserves less than one that it cannot be told apart from.
        _, recommends = memberships.setdefault(chosen.pooled.representative.number, ([], []))
        recommends.append(scenario if len(summary.scenarios) > 1 else None)
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
