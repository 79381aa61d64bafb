"""What a study's trials say so far: fronts, what is recommended, changes against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from tuner.measure.kept import kept
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.fronts import fronts
from tuner.model.study_model import model_of
from tuner.results.baseline import Changes, against_baseline
from tuner.results.pooled import Pooled, pooled
from tuner.results.recommendation import Recommendation, recommend
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class ScenarioSummary:
    """One scenario's front, sorted by the first objective."""

    scenario: Configuration
    measured: int
    front: tuple[TrialRecord, ...]


@dataclass(frozen=True, eq=False)
class Summary:
    """The overall front, sorted by the first objective, and the front of each scenario: none in a
    study without scenario parameters.

    A front has one trial per configuration: the burst nearest to what all its bursts say together
    (`tuner.results.pooled`), by which the front is made. `pooled` has every configuration by that
    trial, `against_baseline` how far each is from the baseline.
    """

    study: StudyRecord
    front: tuple[TrialRecord, ...]
    scenarios: tuple[ScenarioSummary, ...]
    infeasible: int
    pooled: Mapping[int, Pooled]
    against_baseline: Mapping[Configuration, Changes]

    @property
    def unstable(self) -> tuple[Pooled, ...]:
        """The configurations that are on no front since their bursts do not agree."""
        return tuple(p for p in self.pooled.values() if p.unstable and not p.infeasible)

    @cached_property
    def recommendations(self) -> Mapping[Configuration, Recommendation]:
        """What is recommended in each scenario that has something feasible (`recommend`), by
        scenario. Makes the study's model when it is first asked for.
        """
        surrogate = model_of(self.study) if self.front else None
        groups: dict[Configuration, list[Pooled]] = {s.scenario: [] for s in self.scenarios}
        for own in self.pooled.values():
            groups.setdefault(self.study.scenario_of(own.configuration), []).append(own)
        return {
            scenario: chosen
            for scenario, group in groups.items()
            if (chosen := recommend(self.study, scenario, group, surrogate))
        }

    @property
    def headline(self) -> Recommendation | None:
        """What is recommended in the scenario that the study expects, or in its only one; None
        where several were measured and none is expected, and where nothing is feasible there.
        """
        if self.study.expected is not None:
            return self.recommendations.get(self.study.expected)
        if len(self.scenarios) > 1:
            return None
        return next(iter(self.recommendations.values()), None)

    def recommends(self, configuration: Configuration) -> bool:
        """Whether it is what is recommended in its scenario."""
        chosen = self.recommendations.get(self.study.scenario_of(configuration))
        return chosen is not None and chosen.configuration == configuration


def summarise(study: StudyRecord) -> Summary:
    """Fronts from what was measured to the end and is feasible: no imputed value is ever on one.

    Whoever asks again of the same record is given the same summary.
    """
    return kept(study, "summary", None, partial(_summarise, study))


def _summarise(study: StudyRecord) -> Summary:
    configurations = pooled(study)
    front_rows = fronts(
        study.search_space,
        [p.configuration for p in configurations],
        [p.values for p in configurations],
        [p.eligible for p in configurations],
        [o.direction for o in study.objectives],
        study.scenario_parameters,
    )

    def trials(indices: tuple[int, ...]) -> tuple[TrialRecord, ...]:
        return tuple(configurations[i].representative for i in indices)

    scenarios = tuple(
        ScenarioSummary(
            s.scenario, sum(len(configurations[i].trials) for i in s.trials), trials(s.front)
        )
        for s in front_rows.scenarios
    )
    return Summary(
        study,
        trials(front_rows.overall),
        scenarios,
        sum(t.outcome == "infeasible" for t in study.trials),
        {p.representative.number: p for p in configurations},
        against_baseline(study, configurations),
    )
