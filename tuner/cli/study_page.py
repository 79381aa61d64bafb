"""A study's fronts, what a model of it predicts, and its trials: `tune show`, and a run's end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from tuner.analysis.findings import FEWEST, Findings, find
from tuner.analysis.summary import ScenarioSummary, Summary, delta_percent, summarise
from tuner.cli.findings_page import show_decisions, show_open, show_predicted
from tuner.cli.tables import (
    console,
    number,
    plain,
    title,
    trial_table,
    value,
    warn_if_simulated,
)
from tuner.record import StudyRecord, TrialRecord


def show_study(study: StudyRecord) -> None:
    """Fronts as measured and as predicted, decisions, what is open, and every trial."""
    summary, found = summarise(study), find(study)
    show_front(study, summary, found)
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


def show_front(study: StudyRecord, summary: Summary, found: Findings | None = None) -> None:
    """The overall front, every scenario's front, and the recommended trials.

    With findings the scenarios' fronts are as predicted, beside what was measured.
    """
    warn_if_simulated(study)
    if not summary.front:
        console.print(f"No feasible trial among {len(study.trials)} of study {study.name}.")
        _infeasible(study)
        return
    front_title = f"Overall Pareto front of study {study.name} ({len(study.trials)} trials)"
    console.print(trial_table(study, summary.front, front_title, summary.knee))
    if found is not None:
        show_predicted(study, summary, found)
    elif summary.scenarios:
        console.print(scenario_table(study, summary.scenarios))
    if summary.scenarios:
        console.print(
            "  With every parameter free, the overall front prefers little load and a good network."
            "\n  What to deploy is read from the front of the scenario that you expect."
        )
    for one in summary.unstable:
        console.print(
            f"On no front, unstable: trial {one.representative.number}: {escape(one.unstable)}"
        )
    _infeasible(study)
    if summary.knee is not None:
        console.print(f"Recommended (knee of the overall front): {_sentence(study, summary.knee)}")


def show_doubts(study: StudyRecord) -> None:
    """What a reader of the tables must know: repeatability, drift of the host, failed trials."""
    for metric, found in study.repeatability.items():
        console.print(
            f"{title(metric)} of one configuration differs by {100 * found.relative_sd:.1f} %"
            f" between bursts ({found.degrees} repeats); intervals include it."
        )
    if not study.repeatability and study.trials:
        console.print(
            "Intervals hold what varies within a burst only: too few configurations were measured"
            " again to know how far bursts differ."
        )
    for drift in study.drifts:
        numbers = [t.number for t in study.trials if t.number in drift]
        if numbers:
            console.print(
                f"Drift: {escape(drift.what)}. In doubt, marked ~: trials {numbers[0]} to"
                f" {numbers[-1]}. Measure what matters again (--repeat)."
            )
    if study.failed:
        listed = ", ".join(str(f.number) for f in study.failed[:12])
        more = ", ..." if len(study.failed) > 12 else ""
        console.print(f"Failed, and on no front: {len(study.failed)} ({listed}{more})")


def _sentence(study: StudyRecord, trial: TrialRecord) -> str:
    parts = []
    for index, objective in enumerate(study.objectives):
        delta = delta_percent(study, trial, index)
        against = (
            "" if delta is None or trial is study.baseline else f" ({delta:+.0f} % to baseline)"
        )
        parts.append(f"{title(objective.metric)} {number(trial.values[index])}{against}")
    return f"trial {trial.number}: {trial.configuration}; " + ", ".join(parts)


def _infeasible(study: StudyRecord) -> None:
    reasons: dict[str, list[int]] = {}
    for trial in study.trials:
        if not trial.feasible:
            broken = [text for text, v in trial.violations.items() if v > 0]
            reasons.setdefault(trial.reason or ", ".join(broken), []).append(trial.number)
    for reason, numbers in reasons.items():
        shown = ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")
        console.print(f"Infeasible, {reason}: {len(numbers)} ({shown})")


def scenario_table(study: StudyRecord, scenarios: Sequence[ScenarioSummary]) -> Table:
    """Per scenario: how much was measured, its front's trials, and the recommended one."""
    names = [p.name for p in study.search_space.with_role("scenario")]
    table = plain(*names, title="Front of each scenario")
    table.add_column("trials", justify="right")
    table.add_column("front: trial (" + ", ".join(title(o.metric) for o in study.objectives) + ")")
    table.add_column("recommended")
    decisions = [p.name for p in study.search_space.with_role("decision")]
    for scenario in scenarios:
        front = "  ".join(
            f"{t.number} ({', '.join(number(v) for v in t.values)})" for t in scenario.front
        )
        best = scenario.knee
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
