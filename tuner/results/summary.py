"""What a study's trials say so far: fronts, the recommended point, and deltas to the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.fronts import fronts
from tuner.model.pareto import knee
from tuner.results.pooled import Pooled, pooled
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class ScenarioSummary:
    """One scenario's front, sorted by the first objective, and its recommended trial."""

    scenario: Configuration
    measured: int
    front: tuple[TrialRecord, ...]
    knee: TrialRecord | None


@dataclass(frozen=True)
class Summary:
    """The overall front, sorted by the first objective, and the front of each scenario.

    A front has one trial per configuration: the burst nearest to what all its bursts say together
    (`tuner.results.pooled`), by which the front is made. `knee` is the overall front's recommended
    trial, None where nothing feasible was measured. `pooled` has every configuration by its trial.
    """

    front: tuple[TrialRecord, ...]
    knee: TrialRecord | None
    scenarios: tuple[ScenarioSummary, ...]
    infeasible: int
    pooled: dict[int, Pooled]

    @property
    def unstable(self) -> tuple[Pooled, ...]:
        """The configurations that are on no front since their bursts do not agree."""
        return tuple(p for p in self.pooled.values() if p.unstable and not p.infeasible)


def summarise(study: StudyRecord) -> Summary:
    """Fronts from what was measured to the end and is feasible: no imputed value is ever on one."""
    known = pooled(study)
    directions = [o.direction for o in study.objectives]
    found = fronts(
        study.search_space,
        [p.configuration for p in known],
        [p.values for p in known],
        [p.eligible for p in known],
        directions,
    )

    def best(indices: tuple[int, ...]) -> TrialRecord | None:
        if not indices:
            return None
        at = knee([known[i].values for i in indices], directions)
        return known[indices[at]].representative

    def trials(indices: tuple[int, ...]) -> tuple[TrialRecord, ...]:
        return tuple(known[i].representative for i in indices)

    scenarios = tuple(
        ScenarioSummary(
            s.scenario,
            sum(len(known[i].trials) for i in s.trials),
            trials(s.front),
            best(s.front),
        )
        for s in found.scenarios
    )
    return Summary(
        trials(found.overall),
        best(found.overall),
        scenarios,
        sum(t.outcome == "infeasible" for t in study.trials),
        {p.representative.number: p for p in known},
    )


def delta_percent(study: StudyRecord, trial: TrialRecord, index: int) -> float | None:
    """Objective `index` of a trial against the baseline's, in percent of the baseline's."""
    baseline = study.baseline
    if baseline is None or trial.imputed or baseline.values[index] == 0:
        return None
    return 100 * (trial.values[index] / baseline.values[index] - 1)
