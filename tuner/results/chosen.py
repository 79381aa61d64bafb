"""The configurations that a study recommends, with all that is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results.baseline import Changes, changes
from tuner.results.findings import Findings
from tuner.results.outcomes import Outcome, default_decision, outcomes, with_decision
from tuner.results.pooled import Pooled
from tuner.results.recommendation import Recommendation
from tuner.results.reserving import Reservation, reservation
from tuner.results.summary import Summary
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class ChosenConfiguration:
    """A configuration to choose, as its bursts together measured it or as a model predicts it.

    `trial` is the representative burst, None where it was not `measured`. `changes` are by how many
    percent the objectives are above the baseline's decision in the same scenario, by measurements
    of both where there are such (`changes_measured`), else by the model; None where neither knows.
    `from_baseline` are changes against the baseline itself, in its own scenario, where both were
    measured. `is_baseline` says that the decision is the baseline's own. `recommendation` is what
    makes it the choice for its scenario, None for a decision for all scenarios.
    """

    configuration: Configuration
    scenario: Configuration
    trial: int | None
    bursts: int
    values: tuple[Estimate, ...]
    reserved: Reservation
    changes: tuple[Estimate | None, ...]
    changes_measured: bool
    from_baseline: tuple[Estimate | None, ...]
    is_baseline: bool
    recommendation: Recommendation | None

    @property
    def measured(self) -> bool:
        return self.trial is not None


@dataclass(frozen=True)
class ChosenConfigurations:
    """What is recommended in every scenario, and the decision of least regret in each; empty where
    nothing is feasible or no model knows. `headline` is the one of `scenarios` that the study is
    about: the scenario that it expects, or its only one.
    """

    headline: ChosenConfiguration | None
    scenarios: tuple[ChosenConfiguration, ...]
    robust: tuple[ChosenConfiguration, ...]


def chosen_configurations(
    study: StudyRecord, summary: Summary, findings: Findings | None
) -> ChosenConfigurations:
    """The recommended configurations of a study, and what they give."""
    recommended = list(summary.recommendations.values())
    robust: list[Configuration] = []
    if findings is not None and findings.robust is not None:
        scenarios = [f.scenario for f in findings.scenarios if f.scenario is not None]
        robust = [with_decision(study, findings.robust.decision, s) for s in scenarios]
    configurations = [*(r.configuration for r in recommended), *robust]
    predicted = outcomes(study, dict.fromkeys(configurations))
    measured = {p.configuration: p for p in summary.pooled.values() if p.bursts}

    def chosen(
        configuration: Configuration, recommendation: Recommendation | None
    ) -> ChosenConfiguration | None:
        return _chosen(
            study, configuration, recommendation, measured, predicted, summary.against_baseline
        )

    by_scenario = {
        r.scenario: choice
        for r in recommended
        if (choice := chosen(r.configuration, r)) is not None
    }
    headline = summary.headline
    return ChosenConfigurations(
        None if headline is None else by_scenario.get(headline.scenario),
        tuple(by_scenario.values()),
        tuple(choice for c in robust if (choice := chosen(c, None)) is not None),
    )


def _chosen(
    study: StudyRecord,
    configuration: Configuration,
    recommendation: Recommendation | None,
    measured: Mapping[Configuration, Pooled],
    predicted: Mapping[Configuration, Outcome],
    against_baseline: Mapping[Configuration, Changes],
) -> ChosenConfiguration | None:
    own, outcome = measured.get(configuration), predicted.get(configuration)
    count = len(study.objectives)
    if own is not None:
        values = tuple(own.estimate(i) for i in range(count))
    elif outcome is not None:
        values = outcome.values
    else:
        return None
    scenario = study.scenario_of(configuration)
    default = default_decision(study, scenario)
    reference = measured.get(default)
    by: Changes = (None,) * count
    if configuration == default:
        pass
    elif own is not None and reference is not None:
        by = changes(own, reference)
    elif outcome is not None and outcome.changes is not None:
        by = outcome.changes
    return ChosenConfiguration(
        configuration,
        scenario,
        None if own is None else own.representative.number,
        0 if own is None else len(own.bursts),
        values,
        reservation(study, configuration),
        by,
        own is not None and reference is not None,
        against_baseline.get(configuration, (None,) * count),
        configuration == default,
        recommendation,
    )
