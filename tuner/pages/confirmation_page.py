"""What measuring candidates again has shown: the answer of `tune confirm`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Table, Words
from tuner.pages.marks import columns_of, values_of
from tuner.results.confirmation import Confirmation, Confirmed, FrontChange
from tuner.results.wording import counted, interval
from tuner.spec.metrics import title
from tuner.study.next import Goal

_WORDS = {
    "demoted": "leaves its front",
    "tied": "misses its front by less than the measurements can tell",
    "near": "stays off its front",
}


def confirmation_blocks(study: StudyRecord, confirmation: Confirmation) -> Iterator[Block]:
    """The pooled bursts of each candidate, and how the fronts changed."""
    rows = [*([confirmation.baseline] if confirmation.baseline else []), *confirmation.candidates]
    yield _table(study, rows)
    for status, words in _WORDS.items():
        for row in rows:
            if row.status == status:
                yield Words(f"Trial {row.trial} {words}: {row.reason}")
    if not confirmation.changes:
        yield Words("No front has changed.", "lead")
    for change in confirmation.changes:
        yield Words(_change(change), "lead")


def confirming(goal: Goal, before: StudyRecord, rounds: int) -> Words:
    """What is about to be measured."""
    trials = (goal.trials or 0) - len(before.trials)
    times = "once" if rounds == 1 else f"{rounds} times"
    return Words(
        f"Measuring {counted(trials // rounds - 1, 'candidate')} and the baseline {times} more, in"
        f" random order: {counted(trials, 'trial')}."
    )


def _change(change: FrontChange) -> str:
    where = "Overall front" if change.scenario is None else f"Front of {change.scenario}"
    parts = [
        f"{word} {_listed(trials)}"
        for word, trials in (("lost trial", change.lost), ("gained trial", change.gained))
        if trials
    ]
    return f"{where}: {'; '.join(parts)}. It has {counted(change.size, 'configuration')} now."


def _listed(trials: Sequence[TrialRecord]) -> str:
    return ", ".join(str(t.number) for t in trials)


def _table(study: StudyRecord, rows: Sequence[Confirmed]) -> Table:
    objectives = tuple(title(o.metric) for o in study.objectives)
    parameters = columns_of(study)
    return Table(
        ("trial", *parameters, "bursts", *objectives, "P before", "P after", "front"),
        tuple(
            (
                str(row.trial),
                *values_of(study, row.configuration, units=False),
                str(row.bursts),
                *map(interval, row.estimates),
                f"{row.before:.2f}",
                f"{row.after:.2f}",
                row.status,
            )
            for row in rows
        ),
        "What all bursts of each configuration say together, with 95 % intervals. P: probability"
        " that it is on the front of its scenario",
        priorities=(0, *[2] * len(parameters), 3, *[0] * len(objectives), 1, 1, 0),
        muted=frozenset(i for i, r in enumerate(rows) if r.status not in {"kept", "joined"}),
    )
