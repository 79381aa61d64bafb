"""A study that is running, on one page for people: what was asked, and the answer so far.

Of measurements alone: a model takes its time, and this is written anew after every trial.
"""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Cell, Facts, Page, Section, Table, Words
from tuner.pages.marks import columns_of, trial_link, values_of
from tuner.pages.searched import question
from tuner.results.in_words import WITH_SCENARIOS, doubts, listed, not_measured, unstable
from tuner.results.summary import Summary, summarise
from tuner.results.wording import counted, difference, interval, plain
from tuner.spec.metrics import title
from tuner.spec.space import Parameter

ROWS = 25
"""The most that a table has: the page is for people."""


def study_note(record: StudyRecord, running: int) -> Page:
    """What the finished trials of a study say, and how many are `running`."""
    summary = summarise(record)
    sections = (
        ("recommended", "Recommended", _recommended(record, summary)),
        ("front", "Overall front", _front(record, summary)),
        ("scenarios", "Front of each scenario", _scenarios(record, summary)),
        ("doubts", "What is uncertain", _doubts(record, summary)),
        ("space", "Search space", (_space(record), question(record))),
    )
    return Page(
        title=f"Study {record.name}",
        subtitle=_counts(record, running),
        notice=" ".join(not_measured(record)),
        sections=tuple(
            Section(name, heading, blocks)
            for name, heading, some in sections
            if (blocks := tuple(some))
        ),
    )


def _counts(record: StudyRecord, running: int) -> str:
    finished = len(record.trials) + len(record.failed)
    parts = [
        f"{len(record.trials)} complete",
        f"{sum(not t.feasible for t in record.trials)} of them infeasible",
        f"{len(record.failed)} failed",
        f"{running} running",
    ]
    return f"After {counted(finished, 'trial')}: {', '.join(parts)}."


def _recommended(record: StudyRecord, summary: Summary) -> Iterator[Block]:
    best = summary.recommended
    if best is None:
        yield Words("Nothing yet: no trial was measured to the end and is feasible.")
        return
    yield Words(f"The best compromise of the overall front: {best.configuration}", "lead")
    rows: list[tuple[str, Cell]] = [("trial", trial_link(best.number))]
    for index, objective in enumerate(record.objectives):
        value = interval(summary.pooled[best.number].estimate(index))
        against = _against_baseline(record, summary, best, index)
        beside = f", {against} against the baseline" if against else ""
        rows.append((title(objective.metric), value + beside))
    yield Facts(tuple(rows))
    if len(summary.scenarios) > 1:
        yield Words(WITH_SCENARIOS)


def _against_baseline(record: StudyRecord, summary: Summary, trial: TrialRecord, index: int) -> str:
    """The change; empty where there is none to tell, and of the baseline itself."""
    by = summary.against_baseline[trial.configuration][index]
    if by is None or trial.configuration == record.search_space.baseline():
        return ""
    return difference(by)


def _front(record: StudyRecord, summary: Summary) -> Iterator[Block]:
    if not summary.front:
        return
    columns = ["trial", *columns_of(record)]
    for objective in record.objectives:
        columns += [title(objective.metric), "against the baseline"]
    rows = []
    for trial in summary.front[:ROWS]:
        row = [trial_link(trial.number), *values_of(record, trial.configuration, units=False)]
        for index in range(len(record.objectives)):
            row.append(interval(summary.pooled[trial.number].estimate(index)))
            row.append(_against_baseline(record, summary, trial, index) or "-")
        rows.append(tuple(row))
    yield Table(tuple(columns), tuple(rows), "With 95 % intervals")
    yield from _left_out(len(summary.front))


def _scenarios(record: StudyRecord, summary: Summary) -> Iterator[Block]:
    if not summary.scenarios:
        return
    space = record.search_space
    objectives = [title(o.metric) for o in record.objectives]
    rows: list[tuple[Cell, ...]] = []
    for scenario in summary.scenarios[:ROWS]:
        best = scenario.recommended
        numbers = listed([t.number for t in scenario.front]) or "none"
        row: tuple[Cell, ...] = (str(scenario.scenario), str(scenario.measured), numbers)
        if best is None:
            rows.append((*row, "-", "-", *["-"] * len(objectives)))
            continue
        pooled = summary.pooled[best.number]
        values = (interval(pooled.estimate(i)) for i in range(len(objectives)))
        decision = str(space.decision_of(best.configuration))
        rows.append((*row, trial_link(best.number), decision, *values))
    columns = ("scenario", "trials", "trials on its front", "recommended trial", "its decision")
    yield Table((*columns, *objectives), tuple(rows), "As measured, with 95 % intervals")
    yield from _left_out(len(summary.scenarios))


def _doubts(record: StudyRecord, summary: Summary) -> Iterator[Block]:
    for text in (*doubts(record), *unstable(summary)):
        yield Words(text)


def _space(record: StudyRecord) -> Table:
    columns = ("parameter", "role", "values", "unit", "default")
    return Table(columns, tuple(map(_parameter, record.search_space)))


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    values = parameter.values()
    if values is None:
        text = f"{parameter.low:g} to {parameter.high:g}"
    elif len(values) <= 12:
        text = ", ".join(map(plain, values))
    else:
        text = f"{plain(values[0])}, {plain(values[1])}, ... {plain(values[-1])}"
    when = f", when {parameter.when}" if parameter.when else ""
    role = parameter.role + when
    return parameter.name, role, text, parameter.unit, plain(parameter.default)


def _left_out(count: int) -> Iterator[Words]:
    if count > ROWS:
        yield Words(f"{count - ROWS} more are in `tune show`.")
