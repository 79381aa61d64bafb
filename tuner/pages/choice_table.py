"""What configurations to choose give, and how they change the objectives: tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Table
from tuner.pages.marks import foldable, trial_link
from tuner.results.chosen import ChosenConfiguration
from tuner.results.wording import chance, column, difference, interval, label, plain
from tuner.spec.metrics import title
from tuner.spec.space import Configuration


def stated(record: StudyRecord, choice: ChosenConfiguration) -> Table:
    """A row per objective: its value, and its changes.

    Changes are against the defaults in the scenario (where there is one) and against the baseline.
    """
    scenario_column = ("against the defaults there",) if choice.scenario else ()
    columns = ("objective", "value", *scenario_column, "against the baseline")
    rows = []
    for i, objective in enumerate(record.objectives):
        row = [title(objective.metric), interval(choice.values[i])]
        if choice.scenario:
            row.append(_change(choice, i))
        base = choice.from_baseline[i]
        is_it = choice.configuration == record.search_space.baseline()
        row.append("it is the baseline" if is_it else "-" if base is None else difference(base))
        rows.append(tuple(row))
    marked = "" if choice.changes_measured or choice.is_baseline else "; p: as predicted"
    return Table(columns, tuple(rows), "What it gives, with 95 % intervals" + marked)


def by_scenario(
    record: StudyRecord, choices: Sequence[ChosenConfiguration], caption: str, *, decisions: bool
) -> Table:
    """A row per scenario: decision, objectives with intervals, changes against the defaults there.

    A `p` marks what the model predicts where no measurement exists.
    """
    space = record.search_space
    names = record.scenario_parameters
    chosen = record.decision_parameters if decisions else ()
    columns = [*(column(space[name]) for name in (*names, *chosen)), "trial"]
    for objective in record.objectives:
        columns += [title(objective.metric), f"{label(objective.metric)} against the defaults"]
    rows = [
        (
            *(_cell(c.configuration, name) for name in (*names, *chosen)),
            "-" if c.trial is None else trial_link(c.trial),
            *_pairs(c),
            "-" if c.on_front is None else chance(c.on_front),
        )
        for c in choices
    ]
    marked = any(not c.measured or not c.changes_measured for c in choices)
    note = ", with 95 % intervals" + ("; p: as predicted, not measured" if marked else "")
    return Table(
        (*columns, "on the front"),
        tuple(rows),
        caption + note,
        foldable=foldable(chosen, len(names)),
    )


def _pairs(choice: ChosenConfiguration) -> Iterator[str]:
    for i, value in enumerate(choice.values):
        yield interval(value) + ("" if choice.measured else " p")
        yield _change(choice, i)


def _cell(configuration: Configuration, name: str) -> str:
    return plain(configuration[name]) if name in configuration else "-"


def _change(choice: ChosenConfiguration, index: int) -> str:
    if choice.is_baseline:
        return "the defaults"
    by = choice.changes[index]
    return "-" if by is None else difference(by) + ("" if choice.changes_measured else " p")
