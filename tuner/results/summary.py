"""What a study's trials say so far: fronts, what is recommended, changes against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.fronts import fronts
from tuner.results.baseline import Changes, against_baseline
from tuner.results.pooled import Pooled, pooled
from tuner.results.recommendation import recommend
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class ScenarioSummary:
    """One scenario's front, sorted by the first objective, and what is recommended in it."""

    scenario: Configuration
    measured: int
    front: tuple[TrialRecord, ...]
    recommended: TrialRecord | None


@dataclass(frozen=True)
class Summary:
    """The overall front, sorted by the first objective, and the front of each scenario.

    A front has one trial per configuration: the burst nearest to what all its bursts say together
    (`tuner.results.pooled`), by which the front is made. `recommended` is such a trial too, None
    where nothing feasible was measured (`tuner.results.recommendation`). `pooled` has every
    configuration by its trial, `against_baseline` how far each is from the baseline.
    """

    front: tuple[TrialRecord, ...]
    recommended: TrialRecord | None
    scenarios: tuple[ScenarioSummary, ...]
    infeasible: int
    pooled: Mapping[int, Pooled]
    against_baseline: Mapping[Configuration, Changes]

    @property
    def unstable(self) -> tuple[Pooled, ...]:
        """The configurations that are on no front since their bursts do not agree."""
        return tuple(p for p in self.pooled.values() if p.unstable and not p.infeasible)


def summarise(study: StudyRecord) -> Summary:
    """Fronts from what was measured to the end and is feasible: no imputed value is ever on one."""
    configurations = pooled(study)
    front_rows = fronts(
        study.search_space,
        [p.configuration for p in configurations],
        [p.values for p in configurations],
        [p.eligible for p in configurations],
        [o.direction for o in study.objectives],
        study.scenario_parameters,
    )

    def best(indices: tuple[int, ...]) -> TrialRecord | None:
        chosen = recommend([configurations[i] for i in indices], study.objectives)
        return None if chosen is None else chosen.representative

    def trials(indices: tuple[int, ...]) -> tuple[TrialRecord, ...]:
        return tuple(configurations[i].representative for i in indices)

    scenarios = tuple(
        ScenarioSummary(
            s.scenario,
            sum(len(configurations[i].trials) for i in s.trials),
            trials(s.front),
            best(s.front),
        )
        for s in front_rows.scenarios
    )
    return Summary(
        trials(front_rows.overall),
        best(front_rows.overall),
        scenarios,
        sum(t.outcome == "infeasible" for t in study.trials),
        {p.representative.number: p for p in configurations},
        against_baseline(study, configurations),
    )
