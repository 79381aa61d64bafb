"""A study's fronts and trials: the answer of `tune show`, and what a run ends with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Facts, Scatter, Table, Words
from tuner.pages.decisions import regret_blocks
from tuner.pages.front_figure import front_scatter
from tuner.pages.marks import columns_of, values_of
from tuner.pages.run_page import verdict
from tuner.pages.scenario_figure import scenario_panels, scenario_table
from tuner.pages.summary import recommended, uncertain
from tuner.results import in_words
from tuner.results.findings import find
from tuner.results.places import front_data
from tuner.results.summary import ScenarioSummary, Summary, summarise
from tuner.results.wording import counted, difference, figure, interval
from tuner.spec.metrics import title

_BESIDE = ("p95_ms", "throughput_rps")
"""Metrics beside the objectives, where there is room."""


def study_blocks(study: StudyRecord) -> Iterator[Block | Scatter]:
    """Fronts as measured and as predicted, decisions, what is uncertain, and every trial."""
    summary, findings = summarise(study), find(study)
    yield from _notices(study)
    if summary.front:
        yield front_table(study, summary)
        yield from front_scatter(study, front_data(study, summary))
        yield from _recommended(study, summary)
        scenarios = scenario_panels(study, summary, findings)
        if scenarios:
            yield scenario_table(study, findings, scenarios)
            yield Words(in_words.WITH_SCENARIOS)
        yield from regret_blocks(study, findings)
    else:
        yield _nothing(study)
    yield from uncertain(study, summary, findings)
    yield _trials(study)


def end_blocks(study: StudyRecord, summary: Summary) -> Iterator[Block]:
    """What was measured; nothing of a model, which takes its time."""
    yield from _notices(study)
    if summary.front:
        yield front_table(study, summary)
        if summary.scenarios:
            yield _measured_scenarios(study, summary.scenarios)
            yield Words(in_words.WITH_SCENARIOS)
        yield from _recommended(study, summary)
    else:
        yield _nothing(study)
    for line in (
        *in_words.unstable(summary),
        *in_words.infeasible(study.trials),
        *in_words.doubts(study),
    ):
        yield Words(line)


def front_table(study: StudyRecord, summary: Summary, most: int | None = None) -> Table:
    """The overall front: a row for each configuration, averaged over its bursts."""
    parameters = columns_of(study)
    columns, priorities = ["trial", *parameters], [0, *[1] * len(parameters)]
    for objective in study.objectives:
        columns += [title(objective.metric), "against the baseline"]
        priorities += [0, 2]
    rows = []
    for trial in summary.front[:most]:
        best = summary.recommended is not None and trial.number == summary.recommended.number
        row = [f"{trial.number} *" if best else str(trial.number)]
        row += values_of(study, trial.configuration, units=False)
        changes = summary.against_baseline[trial.configuration]
        for index in range(len(study.objectives)):
            by = changes[index]
            row.append(interval(summary.pooled[trial.number].estimate(index)))
            row.append("-" if by is None else "baseline" if by.low is None else difference(by))
        rows.append((*row, *_beside(trial), _verdict(study, trial)))
    return Table(
        (*columns, *map(title, _BESIDE), "verdict"),
        tuple(rows),
        f"Overall Pareto front of study {study.name}: {len(summary.front)} of"
        f" {counted(len(study.trials), 'trial')}, with 95 % intervals (* recommended)",
        priorities=(*priorities, *[4] * len(_BESIDE), 3),
        foldable=tuple(range(1, 1 + len(parameters))),
    )


def best_words(study: StudyRecord, summary: Summary) -> Iterator[Words]:
    """How far each objective has come, of what may be on a front."""
    parts = []
    for index, objective in enumerate(study.objectives):
        pick = min if objective.direction == "minimize" else max
        best = pick(summary.front, key=lambda t: summary.pooled[t.number].values[index])
        by = summary.against_baseline[best.configuration][index]
        if by is not None:
            value = summary.pooled[best.number].values[index]
            parts.append(f"{title(objective.metric)} {figure(value)} ({by.value:+.0f} %)")
    if parts:
        yield Words(f"Best against the baseline: {', '.join(parts)}")


def _trials(study: StudyRecord) -> Table:
    """A row for each trial, with what its own burst said."""
    parameters = columns_of(study)
    rows = []
    for trial in study.trials:
        estimates = (study.estimate(trial, o.metric) for o in study.objectives)
        rows.append(
            (
                str(trial.number),
                *values_of(study, trial.configuration, units=False),
                *("-" if e is None else interval(e) for e in estimates),
                *_beside(trial),
                _verdict(study, trial),
            )
        )
    objectives = [title(o.metric) for o in study.objectives]
    return Table(
        ("trial", *parameters, *objectives, *map(title, _BESIDE), "verdict"),
        tuple(rows),
        f"All {len(study.trials)} trials, each with its own burst (~ the host had drifted)",
        priorities=(0, *[1] * len(parameters), *[0] * len(objectives), *[3] * len(_BESIDE), 2),
        foldable=tuple(range(1, 1 + len(parameters))),
        muted=frozenset(i for i, trial in enumerate(study.trials) if not trial.eligible),
    )


def _beside(trial: TrialRecord) -> Iterator[str]:
    for name in _BESIDE:
        found = trial.metric(name)
        yield "-" if found is None else figure(found.value)


def _verdict(study: StudyRecord, trial: TrialRecord) -> str:
    return verdict(trial) + (" ~" if study.drift(trial) else "")


def _notices(study: StudyRecord) -> Iterator[Words]:
    yield from (Words(line, "doubt") for line in in_words.not_measured(study))


def _nothing(study: StudyRecord) -> Words:
    return Words(f"No feasible trial among {len(study.trials)} of study {study.name}.", "lead")


def _recommended(study: StudyRecord, summary: Summary) -> Iterator[Block]:
    best = summary.recommended
    if best is None:
        return
    yield recommended(best.configuration)
    rows = [("trial", str(best.number))]
    changes = summary.against_baseline[best.configuration]
    for index, objective in enumerate(study.objectives):
        by = changes[index]
        beside = "" if by is None or by.low is None else f", {difference(by)} against the baseline"
        estimate = summary.pooled[best.number].estimate(index)
        rows.append((title(objective.metric), f"{interval(estimate)}{beside}"))
    yield Facts(tuple(rows))


def _measured_scenarios(study: StudyRecord, scenarios: Sequence[ScenarioSummary]) -> Table:
    """How much was measured in each scenario, its front's trials, and the recommended one."""
    objectives = ", ".join(title(o.metric) for o in study.objectives)
    rows = []
    for found in scenarios:
        front = (f"{t.number} ({', '.join(map(figure, t.values))})" for t in found.front)
        best = found.recommended
        rows.append(
            (
                *values_of(study, found.scenario, units=False, among=study.scenario_parameters),
                str(found.measured),
                "  ".join(front) or "nothing feasible",
                "-" if best is None else str(study.decision_of(best.configuration)),
            )
        )
    names = columns_of(study, among=study.scenario_parameters)
    return Table(
        (*names, "trials", f"its front: trial ({objectives})", "recommended"),
        tuple(rows),
        "Front of each scenario, as measured",
        priorities=(*[0] * len(names), 1, 0, 0),
    )
