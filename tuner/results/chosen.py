"""What was searched, what is recommended, and how much of it was measured well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results.baseline import Changes, changes
from tuner.results.findings import Findings
from tuner.results.outcomes import Outcome, default_decision, outcomes, with_decision
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class ChosenConfiguration:
    """A configuration to choose, as its bursts together measured it or as a model predicts it.

    `trial` is the representative burst, None where it was not `measured`. `changes` are by how many
    percent the objectives are above the baseline's decision in the same scenario, by measurements
    of both where there are such (`changes_measured`), else by the model; None where neither knows.
    `from_baseline` are changes against the baseline itself, in its own scenario, where both were
    measured. `is_baseline` says that the decision is the baseline's own. `on_front` is the
    probability that it is on its scenario's front, None where no model says so.
    """

    configuration: Configuration
    scenario: Configuration
    trial: int | None
    bursts: int
    values: tuple[Estimate, ...]
    changes: tuple[Estimate | None, ...]
    changes_measured: bool
    from_baseline: tuple[Estimate | None, ...]
    is_baseline: bool
    on_front: float | None

    @property
    def measured(self) -> bool:
        return self.trial is not None


@dataclass(frozen=True)
class ChosenConfigurations:
    """The knee of the overall front, that of every scenario's front, and the decision of least
    regret in each scenario; none of them where nothing is feasible or no model knows.
    """

    overall: ChosenConfiguration | None
    scenarios: tuple[ChosenConfiguration, ...]
    robust: tuple[ChosenConfiguration, ...]


def chosen_configurations(
    study: StudyRecord, summary: Summary, findings: Findings | None
) -> ChosenConfigurations:
    """The chosen configurations of a study. Scenarios have their own where there are several."""
    several = len(summary.scenarios) > 1
    knees = [s.recommended.configuration for s in summary.scenarios if s.recommended is not None]
    knees = knees if several else []
    overall = [] if summary.recommended is None else [summary.recommended.configuration]
    robust: list[Configuration] = []
    if findings is not None and findings.robust is not None:
        scenarios = [f.scenario for f in findings.scenarios if f.scenario is not None]
        robust = [with_decision(study, findings.robust.decision, s) for s in scenarios]
    predicted = outcomes(study, dict.fromkeys([*overall, *knees, *robust]))
    measured = {p.configuration: p for p in summary.pooled.values() if p.bursts}

    def chosen(configurations: list[Configuration]) -> tuple[ChosenConfiguration, ...]:
        made = (
            _choice(study, c, measured, predicted, findings, summary.against_baseline)
            for c in configurations
        )
        return tuple(c for c in made if c is not None)

    return ChosenConfigurations(next(iter(chosen(overall)), None), chosen(knees), chosen(robust))


def _choice(
    study: StudyRecord,
    configuration: Configuration,
    measured: Mapping[Configuration, Pooled],
    predicted: Mapping[Configuration, Outcome],
    findings: Findings | None,
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
    chance = findings and findings.predicted(configuration)
    return ChosenConfiguration(
        configuration,
        scenario,
        None if own is None else own.representative.number,
        0 if own is None else len(own.bursts),
        values,
        by,
        own is not None and reference is not None,
        against_baseline.get(configuration, (None,) * count),
        configuration == default,
        chance.on_front if chance else None,
    )
