"""What a study's trials say so far: fronts, the recommended point, and deltas to the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.record import StudyRecord, TrialRecord
from tuner.search.fronts import fronts
from tuner.search.pareto import knee
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

    `knee` is the overall front's recommended trial, None where nothing feasible was measured.
    """

    front: tuple[TrialRecord, ...]
    knee: TrialRecord | None
    scenarios: tuple[ScenarioSummary, ...]
    infeasible: int


def summarise(study: StudyRecord) -> Summary:
    """Fronts from the measured, feasible trials only: no imputed value is ever on a front."""
    trials = study.trials
    directions = [o.direction for o in study.objectives]
    found = fronts(
        study.search_space,
        [t.configuration for t in trials],
        [t.values for t in trials],
        [t.feasible for t in trials],
        directions,
    )

    def best(front: tuple[TrialRecord, ...]) -> TrialRecord | None:
        return front[knee([t.values for t in front], directions)] if front else None

    overall = tuple(trials[i] for i in found.overall)
    scenarios = []
    for scenario in found.scenarios:
        front = tuple(trials[i] for i in scenario.front)
        scenarios.append(
            ScenarioSummary(scenario.scenario, len(scenario.trials), front, best(front))
        )
    return Summary(
        overall, best(overall), tuple(scenarios), sum(t.outcome == "infeasible" for t in trials)
    )


def delta_percent(study: StudyRecord, trial: TrialRecord, index: int) -> float | None:
    """Objective `index` of a trial against the baseline's, in percent of the baseline's."""
    baseline = study.baseline
    if baseline is None or trial.imputed or baseline.values[index] == 0:
        return None
    return 100 * (trial.values[index] / baseline.values[index] - 1)
