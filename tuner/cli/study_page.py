"""A study's fronts, what a model of it predicts, and its trials: `tune show`, and a run's end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tuner.cli.findings_page import show_decisions, show_open, show_predicted
from tuner.cli.tables import console, plain, trial_table, value, warn_if_simulated
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.study_model import FEWEST
from tuner.pages.front_figure import front_scatter
from tuner.render import terminal
from tuner.results import in_words
from tuner.results.findings import Findings, find
from tuner.results.places import front_data
from tuner.results.summary import ScenarioSummary, Summary, summarise
from tuner.results.wording import difference, figure, interval
from tuner.spec.metrics import title


def show_study(study: StudyRecord) -> None:
    """Fronts as measured and as predicted, decisions, what is open, and every trial."""
    summary, found = summarise(study), find(study)
    show_front(study, summary, found, plotted=True)
    if found is None and summary.front:
        console.print(
            f"Nothing is predicted yet: a model needs {FEWEST} configurations that could be"
            " measured."
        )
    if found is not None:
        show_decisions(study, found)
        show_open(found)
    console.print(trial_table(study, study.trials, f"All {len(study.trials)} trials"))
    show_doubts(study)


def show_front(
    study: StudyRecord,
    summary: Summary,
    found: Findings | None = None,
    *,
    plotted: bool = False,
) -> None:
    """The overall front, every scenario's front, and the recommended trials.

    With findings the scenarios' fronts are as predicted, beside what was measured.
    """
    warn_if_simulated(study)
    if not summary.front:
        console.print(f"No feasible trial among {len(study.trials)} of study {study.name}.")
        _infeasible(study)
        return
    front_title = f"Overall Pareto front of study {study.name} ({len(study.trials)} trials)"
    console.print(trial_table(study, summary.front, front_title, summary.recommended))
    if plotted:
        terminal.show(*front_scatter(study, front_data(study, summary)))
    if found is not None:
        show_predicted(study, summary, found)
    elif summary.scenarios:
        console.print(scenario_table(study, summary.scenarios))
    if summary.scenarios:
        console.print(
            "  With every parameter free, the overall front prefers little load and a good network."
            "\n  What to deploy is read from the front of the scenario that you expect."
        )
    for line in in_words.unstable(summary):
        console.print(line, markup=False)
    _infeasible(study)
    if summary.recommended is not None:
        said = _sentence(study, summary, summary.recommended)
        console.print(f"Recommended (knee of the overall front): {said}")


def show_doubts(study: StudyRecord) -> None:
    """What a reader of the tables must know: repeatability, drift of the host, failed trials."""
    for line in in_words.doubts(study):
        console.print(line, markup=False)


def _sentence(study: StudyRecord, summary: Summary, trial: TrialRecord) -> str:
    parts = []
    for index, objective in enumerate(study.objectives):
        by = summary.against_baseline[trial.configuration][index]
        against = "" if by is None or by.low is None else f", {difference(by)} against the baseline"
        estimate = summary.pooled[trial.number].estimate(index)
        parts.append(f"{title(objective.metric)} {interval(estimate)}{against}")
    return f"trial {trial.number}: {trial.configuration}; " + "; ".join(parts)


def _infeasible(study: StudyRecord) -> None:
    for line in in_words.infeasible(study.trials):
        console.print(line, markup=False)


def scenario_table(study: StudyRecord, scenarios: Sequence[ScenarioSummary]) -> Table:
    """Per scenario: how much was measured, its front's trials, and the recommended one."""
    names = study.scenario_parameters
    table = plain(*names, title="Front of each scenario")
    table.add_column("trials", justify="right")
    table.add_column("front: trial (" + ", ".join(title(o.metric) for o in study.objectives) + ")")
    table.add_column("recommended")
    decisions = study.decision_parameters
    for scenario in scenarios:
        front = "  ".join(
            f"{t.number} ({', '.join(figure(v) for v in t.values)})" for t in scenario.front
        )
        best = scenario.recommended
        choice = (
            ""
            if best is None
            else " ".join(
                f"{name}={value(best.configuration[name])}"
                for name in decisions
                if name in best.configuration
            )
        )
        table.add_row(
            *(value(scenario.scenario.get(name)) for name in names),
            str(scenario.measured),
            front or "nothing feasible",
            choice,
        )
    return table
