"""A study's fronts and trials: the answer of `tune show`, and what a run ends with."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Cell, Scatter, Table, Words
from tuner.pages.decisions import regret_blocks
from tuner.pages.front_figure import front_scatter
from tuner.pages.marks import columns_of, foldable, trial_link, values_of
from tuner.pages.run_page import verdict
from tuner.pages.scenario_figure import scenario_panels, scenario_table
from tuner.pages.summary_section import uncertain
from tuner.pages.what_to_deploy import answer_blocks, levels_held
from tuner.results import in_words
from tuner.results.findings import find
from tuner.results.mixture import mixture_of_scenarios
from tuner.results.places import front_data
from tuner.results.summary import Summary, summarise
from tuner.results.wording import counted, difference, figure, interval, label
from tuner.spec.metrics import title

_BESIDE = ("p95_ms", "p99_ms", "throughput_rps")
"""Metrics beside the objectives and those of the constraints, where there is room."""


def study_blocks(study: StudyRecord) -> Iterator[Block | Scatter]:
    """Fronts as measured and as predicted, decisions, what is uncertain, and every trial."""
    summary, findings = summarise(study), find(study)
    yield from _notices(study)
    yield from answer_blocks(study, summary, findings)
    yield from levels_held(study, summary)
    if summary.front:
        scenarios = scenario_panels(study, summary, findings)
        if scenarios:
            yield scenario_table(study, findings, scenarios)
            if findings is not None:
                yield Words(in_words.PREDICTED)
        yield front_table(study, summary)
        yield from front_scatter(study, front_data(study, summary))
        if mixture := mixture_of_scenarios(study, summary):
            yield Words(mixture)
        yield from regret_blocks(study, findings)
    yield from uncertain(study, summary, findings)
    yield _trials(study)


def end_blocks(study: StudyRecord, summary: Summary) -> Iterator[Block]:
    """What a run ends with: the answer."""
    yield from _notices(study)
    yield from answer_blocks(study, summary, find(study))


def front_table(study: StudyRecord, summary: Summary, most: int | None = None) -> Table:
    """The overall front: a row for each configuration, averaged over its bursts."""
    parameters = columns_of(study)
    columns, priorities = ["trial", *parameters], [0, *[1] * len(parameters)]
    for objective in study.objectives:
        columns += [title(objective.metric), f"{label(objective.metric)} against the baseline"]
        priorities += [0, 2]
    beside = _names_beside(study)
    rows: list[tuple[Cell, ...]] = []
    for trial in summary.front[:most]:
        row: list[Cell] = [trial_link(trial.number)]
        row += values_of(study, trial.configuration, units=False)
        for index in range(len(study.objectives)):
            row.append(interval(summary.pooled[trial.number].estimate(index)))
            row.append(_against_baseline(study, summary, trial, index))
        rows.append((*row, *_beside(study, trial), _verdict(study, trial)))
    return Table(
        (*columns, *map(title, beside), "verdict"),
        tuple(rows),
        f"Overall Pareto front of study {study.name}: {len(summary.front)} of"
        f" {counted(len(study.trials), 'trial')}, with 95 % intervals",
        priorities=(*priorities, *[4 if name in _BESIDE else 2 for name in beside], 3),
        foldable=foldable(parameters, 1),
    )


def _against_baseline(study: StudyRecord, summary: Summary, trial: TrialRecord, index: int) -> str:
    if trial.configuration == study.search_space.baseline():
        return "baseline"
    by = summary.against_baseline[trial.configuration][index]
    return "-" if by is None else difference(by)


def doubt_words(study: StudyRecord, summary: Summary) -> Iterator[Words]:
    """What a reader of measured fronts must be careful with."""
    for line in (
        *in_words.unstable(summary),
        *in_words.infeasible(study.trials),
        *in_words.doubts(study),
    ):
        yield Words(line)


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
                *_beside(study, trial),
                _verdict(study, trial),
            )
        )
    objectives, beside = [title(o.metric) for o in study.objectives], _names_beside(study)
    infeasible = sum(not trial.feasible for trial in study.trials)
    return Table(
        ("trial", *parameters, *objectives, *map(title, beside), "verdict"),
        tuple(rows),
        f"All {len(study.trials)} trials, {infeasible} of them infeasible, each with its own burst"
        " (~ the host had drifted)",
        priorities=(
            *(0, *[1] * len(parameters), *[0] * len(objectives)),
            *[3 if name in _BESIDE else 1 for name in beside],
            2,
        ),
        foldable=foldable(parameters, 1),
        muted=frozenset(i for i, trial in enumerate(study.trials) if not trial.eligible),
    )


def _names_beside(study: StudyRecord) -> tuple[str, ...]:
    """The metrics of the constraints, then `_BESIDE`, each unless it is an objective."""
    objectives = {o.metric for o in study.objectives}
    names = dict.fromkeys((*(c.metric for c in study.constraints), *_BESIDE))
    return tuple(name for name in names if name not in objectives)


def _beside(study: StudyRecord, trial: TrialRecord) -> Iterator[str]:
    for name in _names_beside(study):
        estimate = trial.metric(name)
        yield "-" if estimate is None else figure(estimate.value)


def _verdict(study: StudyRecord, trial: TrialRecord) -> str:
    return verdict(trial) + (" ~" if study.drift(trial) else "")


def _notices(study: StudyRecord) -> Iterator[Words]:
    yield from (Words(line, "doubt") for line in in_words.not_measured(study))
