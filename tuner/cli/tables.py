"""What the verbs print, as Rich tables. Numbers come finished; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.load.sender import Progress
from tuner.measure.measurement import Estimate
from tuner.record import StudyRecord, TrialRecord
from tuner.spec.metrics import METRICS
from tuner.spec.study import StudySpec
from tuner.study.check import Check
from tuner.study.plan import Plan
from tuner.study.storage import StudySummary
from tuner.study.summary import ScenarioSummary, Summary, delta_percent, summarise

SIMULATED = "SIMULATED: these numbers come from a queueing model, not from containers."

console = Console(highlight=False)
if not console.is_terminal:
    # A file or a pipe has no width of its own, and a table that is cut is of no use in a log.
    console.width = 180


def burst_line(progress: Progress) -> str:
    """What a burst has found so far, in one line."""
    art = "" if progress.art_ms is None else f"ART {number(progress.art_ms)} ms"
    if progress.art_precision is not None:
        art += f" ± {100 * progress.art_precision:.0f} %"
    tail = "" if progress.p99_ms is None else f", p99 {number(progress.p99_ms)}"
    late = "" if progress.late_share is None else f", {100 * progress.late_share:.0f} % sent late"
    most = " at most" if progress.phase == "warm-up" else ""
    return (
        f"{progress.phase}: {art}{tail}, {progress.rate_rps:.0f} req/s{late},"
        f" client CPU {100 * progress.client_cpu:.0f} %, {progress.seconds_left:.0f} s left{most}"
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: `45 s`, `12 min`, `3.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def number(value: float) -> str:
    """Three significant digits, without an exponent where people would not write one."""
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:,.0f}" if value else "0"


def estimate(found: Estimate | None) -> str:
    """A value with half its 95 % interval, such as `2.31 ± 0.07`."""
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return number(found.value)
    half = (found.high - found.low) / 2
    known = half > 1e-3 * abs(found.value)
    return f"{number(found.value)} ± {number(half)}" if known else number(found.value)


def title(metric: str) -> str:
    known = METRICS[metric]
    return f"{known.label} ({known.unit})" if known.unit else known.label


def show_plan(spec: StudySpec, plan: Plan) -> None:
    table = plain("what", "value", title=f"Plan of study {spec.name}")
    for parameter in spec.search_space:
        values = parameter.values()
        text = f"{parameter.low:g} to {parameter.high:g}" if values is None else _values(values)
        when = f", when {parameter.when}" if parameter.when else ""
        table.add_row(
            escape(f"{parameter.name} ({parameter.role}{when})"), f"{text} {parameter.unit}".strip()
        )
    table.add_section()
    grid = "endless (a parameter is continuous)" if plan.grid is None else f"{plan.grid:,}"
    table.add_row("configurations in the full grid", grid)
    if plan.scenarios:
        table.add_row("scenarios", str(plan.scenarios))
    table.add_row("time of one trial", f"{plan.trial_seconds:.1f} s ({plan.evidence})")
    if plan.grid_seconds is not None:
        table.add_row("time of the full grid", duration(plan.grid_seconds))
    table.add_section()
    limits = [] if plan.trials is None else [f"{plan.trials} trials"]
    limits += [] if plan.seconds is None else [duration(plan.seconds)]
    table.add_row("budget", " or ".join(limits))
    table.add_row("done", f"{plan.done} trials")
    if plan.budget_seconds is not None:
        table.add_row("time to the budget's end, at most", duration(plan.budget_seconds))
    table.add_row("start", f"baseline, corners and Sobol points: {plan.start} trials")
    table.add_row("sampler, seed", f"{spec.search.sampler}, {spec.seed}")
    console.print(table)


def _values(values: Sequence[object]) -> str:
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    if len(texts) <= 8:
        return ", ".join(texts)
    return f"{texts[0]}, {texts[1]}, ... {texts[-1]} ({len(texts)} values)"


def show_checks(checks: Iterable[Check]) -> bool:
    """Print each check as it ends; whether all are ok."""
    good = True
    for check in checks:
        mark = "[green]ok[/]  " if check.ok else "[red]no[/]  "
        console.print(f"{mark} {check.name:8} {escape(check.found)}")
        if not check.ok:
            good = False
            console.print(f"     mend:    {escape(check.mend)}")
    return good


def show_list(studies: Sequence[tuple[str, Sequence[StudySummary]]]) -> None:
    table = plain("study", "backend", "complete", "running")
    for name, held in studies:
        if not held:
            table.add_row(name, "-", "0", "0")
        for study in held:
            table.add_row(name, study.backend, str(study.complete), str(study.running))
    console.print(table)


def show_study(study: StudyRecord) -> None:
    """Fronts, the recommended trial, and every trial."""
    summary = summarise(study)
    show_front(study, summary)
    table = trial_table(study, study.trials, f"All {len(study.trials)} trials")
    console.print(table)
    show_doubts(study)


def show_front(study: StudyRecord, summary: Summary) -> None:
    """The overall front, every scenario's front, and the recommended trials."""
    warn_if_simulated(study)
    if not summary.front:
        console.print(f"No feasible trial among {len(study.trials)} of study {study.name}.")
        _infeasible(study)
        return
    front_title = f"Overall Pareto front of study {study.name} ({len(study.trials)} trials)"
    console.print(trial_table(study, summary.front, front_title, summary.knee))
    if summary.scenarios:
        console.print(scenario_table(study, summary.scenarios))
        console.print(
            "  With every parameter free, the overall front prefers little load and a good network."
            "\n  What to deploy is read from the front of the scenario that you expect."
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


def trial_table(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    heading: str,
    recommended: TrialRecord | None = None,
) -> Table:
    """A row per trial: configuration, objectives with intervals and change from the baseline (Δ),
    p95 in ms, requests per second, verdict (~: the host had drifted).
    """
    table = plain("trial", *(p.name for p in study.search_space), title=heading)
    for objective in study.objectives:
        table.add_column(title(objective.metric), justify="right")
        table.add_column("Δ", justify="right")
    table.add_column("p95", justify="right")
    table.add_column("req/s", justify="right")
    table.add_column("verdict")
    baseline = study.baseline
    for trial in trials:
        mark = " *" if recommended is not None and trial.number == recommended.number else ""
        row = [f"{trial.number}{mark}"]
        row += [_value(trial.configuration.get(p.name)) for p in study.search_space]
        for index, objective in enumerate(study.objectives):
            if trial.measurement is None:
                row += ["-", ""]
                continue
            delta = delta_percent(study, trial, index)
            row.append(estimate(study.estimate(trial, objective.metric)))
            row.append("" if delta is None else "base" if trial is baseline else f"{delta:+.0f} %")
        row += [estimate_value(trial, "p95_ms"), estimate_value(trial, "throughput_rps")]
        row.append(verdict(trial) + (" ~" if study.drift(trial) else ""))
        table.add_row(*row, style="" if trial.feasible else "dim")
    return table


def _value(value: object) -> str:
    """A parameter's value; a dash where it is inactive."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def estimate_value(trial: TrialRecord, metric: str) -> str:
    found = trial.metric(metric)
    return "-" if found is None else number(found.value)


def verdict(trial: TrialRecord) -> str:
    if trial.measurement is None:
        return trial.reason
    return trial.measurement.verdict + ("" if trial.feasible else ", breaks a constraint")


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
                f"{name}={_value(best.configuration[name])}"
                for name in decisions
                if name in best.configuration
            )
        )
        table.add_row(
            *(_value(scenario.scenario.get(name)) for name in names),
            str(scenario.measured),
            front or "nothing feasible",
            choice,
        )
    return table


def warn_if_simulated(study: StudyRecord) -> None:
    if any(t.backend == "simulated" for t in study.trials):
        console.print(f"[bold yellow]{SIMULATED}[/]")


def plain(*columns: str, title: str | None = None) -> Table:
    """A table without lines, its columns never broken."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
