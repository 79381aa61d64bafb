"""A study that is running, on one page for people: what was asked, and the answer so far.

It is written anew after every trial.
"""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Block, Page, Section, Table, Words
from tuner.pages.searched import question
from tuner.pages.study_page import doubt_words, front_table
from tuner.pages.what_to_deploy import answer_blocks
from tuner.results.findings import find
from tuner.results.in_words import not_measured
from tuner.results.mixture import mixture_of_scenarios
from tuner.results.summary import Summary, summarise
from tuner.results.wording import counted, plain
from tuner.spec.space import Parameter

ROWS = 25
"""The most that a table has: the page is for people."""


def study_note(record: StudyRecord, running: int) -> Page:
    """The note of a study: what its finished trials say, and how many trials are `running`."""
    summary = summarise(record)
    sections = (
        ("recommended", "What to deploy", answer_blocks(record, summary, find(record))),
        ("front", "Overall front", _front(record, summary)),
        ("doubts", "What is uncertain", doubt_words(record, summary)),
        ("space", "Search space", (_space(record), question(record))),
    )
    return Page(
        title=f"Study {record.name}",
        subtitle=_counts(record, running),
        notice=" ".join(not_measured(record)),
        sections=tuple(
            Section(name, heading, blocks)
            for name, heading, content in sections
            if (blocks := tuple(content))
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


def _front(record: StudyRecord, summary: Summary) -> Iterator[Block]:
    if summary.front:
        yield front_table(record, summary, ROWS)
        yield from _left_out(len(summary.front))
        if mixture := mixture_of_scenarios(record, summary):
            yield Words(mixture)


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
