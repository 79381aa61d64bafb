"""What the verbs print, as Rich tables. Numbers come finished; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.load.burst_progress import BurstProgress
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results import in_words, wording
from tuner.results.baseline import against_baseline
from tuner.results.pooled import pooled
from tuner.results.wording import figure, interval
from tuner.spec.metrics import METRICS
from tuner.spec.study import StudySpec
from tuner.study.check import Check
from tuner.study.plan import Plan
from tuner.study.storage import StudySummary

SIMULATED, REPLAYED = in_words.SIMULATED, in_words.REPLAYED

console = Console(highlight=False)
if not console.is_terminal:
    # A file or a pipe has no width of its own, and a table that is cut is of no use in a log.
    console.width = 180

duration = wording.duration

WIDE = 120
"""From so many columns on there is room for more than the objectives."""


def burst_line(progress: BurstProgress) -> str:
    """What a burst has found so far, in one line."""
    art = "" if progress.art_ms is None else f"ART {figure(progress.art_ms)} ms"
    if progress.art_precision is not None:
        art += f" known to {100 * progress.art_precision:.0f} %"
    tail = "" if progress.p99_ms is None else f", p99 {figure(progress.p99_ms)}"
    late = "" if progress.late_share is None else f", {100 * progress.late_share:.0f} % sent late"
    most = " at most" if progress.phase == "warm-up" else ""
    return (
        f"{progress.phase}: {art}{tail}, {progress.rate_rps:.0f} req/s{late},"
        f" client CPU {100 * progress.client_cpu:.0f} %, {progress.seconds_left:.0f} s left{most}"
    )


def estimate(found: Estimate | None) -> str:
    """A value with its 95 % interval; a dash where it was not measured."""
    return "-" if found is None else interval(found)


def two_lines(metric: str) -> str:
    """A title of two lines, for a narrow column."""
    known = METRICS[metric]
    return f"{known.label}\n({known.unit})" if known.unit else known.label


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
    if plan.deployments is not None:
        table.add_row("deployments in the full grid", f"{plan.deployments:,}")
    if plan.scenarios:
        table.add_row("scenarios", str(plan.scenarios))
    table.add_row("time of one trial", f"{plan.trial_seconds:.1f} s ({plan.evidence})")
    if plan.grid_seconds is not None:
        table.add_row("time of the full grid", duration(plan.grid_seconds))
    if plan.ordered_seconds is not None:
        table.add_row("... ordered by deployment", duration(plan.ordered_seconds))
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


def trial_table(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    heading: str,
    recommended: TrialRecord | None = None,
) -> Table:
    """A row per trial: configuration, objectives with intervals and change from the baseline (Δ),
    p95 in ms and requests per second where there is room, verdict (~: the host had drifted).
    """
    table = plain("trial", *(p.name for p in study.search_space), title=heading)
    for objective in study.objectives:
        table.add_column(two_lines(objective.metric), justify="right")
        table.add_column("Δ", justify="right")
    wide = console.width >= WIDE
    if wide:
        table.add_column("p95", justify="right")
        table.add_column("req/s", justify="right")
    table.add_column("verdict")
    changes = against_baseline(study, pooled(study))
    for trial in trials:
        mark = " *" if recommended is not None and trial.number == recommended.number else ""
        row = [f"{trial.number}{mark}"]
        row += [value(trial.configuration.get(p.name)) for p in study.search_space]
        for index, objective in enumerate(study.objectives):
            if trial.measurement is None:
                row += ["-", ""]
                continue
            by = changes[trial.configuration][index]
            found = study.estimate(trial, objective.metric)
            row.append(estimate(found if wide or found is None else Estimate(found.value)))
            row.append("" if by is None else "base" if by.low is None else f"{by.value:+.0f} %")
        if wide:
            row += [estimate_value(trial, "p95_ms"), estimate_value(trial, "throughput_rps")]
        row.append(verdict(trial) + (" ~" if study.drift(trial) else ""))
        table.add_row(*row, style="" if trial.eligible else "dim")
    return table


def value(value: object) -> str:
    """A parameter's value; a dash where it is inactive."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def estimate_value(trial: TrialRecord, metric: str) -> str:
    found = trial.metric(metric)
    return "-" if found is None else figure(found.value)


def verdict(trial: TrialRecord) -> str:
    if trial.measurement is None:
        return trial.reason
    return (
        trial.measurement.verdict
        + ("" if trial.feasible else ", breaks a constraint")
        + (", cut short" if trial.cut_short else "")
    )


def warn_if_simulated(study: StudyRecord) -> None:
    """Say that no container ran for these trials: those of a computed host or a recorded grid."""
    for line in in_words.not_measured(study):
        console.print(f"[bold yellow]{line}[/]")


def plain(*columns: str, title: str | None = None) -> Table:
    """A table without lines, its columns never broken."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
