"""`tune confirm`: candidates for the fronts measured again, and what that says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from rich.markup import escape
from rich.table import Table

from tuner.backends import backend_named
from tuner.backends.backend import BackendOptions
from tuner.cli import INTERRUPTED, tables
from tuner.cli.run import meant, view
from tuner.errors import InputError
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.confirmation import Confirmation, Confirmed, confirmation_candidates, confirmed
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, goal, run_study
from tuner.study.queue import queue_rounds
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage, study_record

_WORDS = {
    "demoted": "is demoted",
    "tied": "is off its front by a hair",
    "near": "stays off its front",
}


def confirm(
    spec: StudySpec,
    url: str,
    backend_name: str,
    top: int,
    rounds: int,
    *,
    as_json: bool,
    replay: Path | None = None,
) -> int:
    """Measure the `top` candidates and the baseline `rounds` times more; the exit code.

    Raises InputError where the study has no trials, or none that may be on a front.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results = results_directory(spec)
    study = start_or_resume(spec, open_storage(url, create=False), backend_name)
    before = study_record(study)
    chosen = confirmation_candidates(before, top)
    if not chosen:
        raise InputError(
            f"study {spec.name!r} has nothing to confirm: no configuration but the baseline was"
            " measured that may be on a front",
            f"run more trials: tune run --study {spec.name}",
        )
    measured_by = backend_named(backend_name)(spec, BackendOptions(replay, before))
    queue_rounds(spec, study, chosen, rounds)
    until = goal(spec, study, None, rounds * (len(chosen) + 1))
    if not as_json:
        tables.warn_if_simulated(before)
        tables.console.print(
            f"Measuring {len(chosen)} candidates and the baseline {rounds} times more, in random"
            f" order in each round: {rounds * (len(chosen) + 1)} trials"
        )
    try:
        with _silent() if as_json else view(until, spec, before) as observe:
            run_study(spec, study, measured_by, results, until, observe)
    except KeyboardInterrupt:
        again = f"tune run --study {spec.name}{meant(url, backend_name, results)}"
        tables.console.print(f"Interrupted; what is left is measured by: {again} --trials N")
        return INTERRUPTED
    after = study_record(study)
    found = confirmed(before, after, chosen)
    if as_json:
        print(json.dumps(document(after, found), indent=2, allow_nan=False))
    else:
        show(after, found)
    return 0


@contextmanager
def _silent() -> Iterator[Callable[[Event], None]]:
    yield lambda _: None


def show(study: StudyRecord, found: Confirmation) -> None:
    """What each candidate's bursts say together, and how the fronts changed."""
    rows = [*([found.baseline] if found.baseline else []), *found.candidates]
    tables.console.print(_table(study, rows))
    for status, words in _WORDS.items():
        for row in rows:
            if row.status == status:
                tables.console.print(f"Trial {row.trial} {words}: {escape(row.reason)}")
    if not found.changes:
        tables.console.print("No front has changed.")
    for change in found.changes:
        where = "Overall front" if change.scenario is None else f"Front of {change.scenario}"
        parts = [
            f"{word} {_listed(trials)}"
            for word, trials in (("lost trial", change.lost), ("gained trial", change.gained))
            if trials
        ]
        tables.console.print(f"{where}: {'; '.join(parts)}; {change.size} now")


def _listed(trials: Sequence[TrialRecord]) -> str:
    return ", ".join(str(t.number) for t in trials)


def _table(study: StudyRecord, rows: Sequence[Confirmed]) -> Table:
    names = [p.name for p in study.search_space]
    table = tables.plain("trial", *names, title="What all bursts of each say together")
    table.add_column("bursts", justify="right")
    for objective in study.objectives:
        table.add_column(tables.two_lines(objective.metric), justify="right")
    table.add_column("P before", justify="right")
    table.add_column("after", justify="right")
    table.add_column("front")
    for row in rows:
        table.add_row(
            str(row.trial),
            *(tables.value(row.configuration.get(name)) for name in names),
            str(row.bursts),
            *(tables.estimate(e) for e in row.estimates),
            f"{row.before:.2f}",
            f"{row.after:.2f}",
            row.status,
            style="" if row.status in {"kept", "joined"} else "dim",
        )
    return table


def document(study: StudyRecord, found: Confirmation) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "study": study.name,
        "trials": list(found.trials),
        "baseline": found.baseline and _row(study, found.baseline),
        "candidates": [_row(study, row) for row in found.candidates],
        "changes": [
            {
                "scenario": None if change.scenario is None else dict(change.scenario),
                "lost": [t.number for t in change.lost],
                "gained": [t.number for t in change.gained],
                "size": change.size,
            }
            for change in found.changes
        ],
    }


def _row(study: StudyRecord, row: Confirmed) -> dict[str, Any]:
    return {
        "trial": row.trial,
        "configuration": dict(row.configuration),
        "bursts": row.bursts,
        "objectives": {
            o.metric: {"value": e.value, "low": e.low, "high": e.high}
            for o, e in zip(study.objectives, row.estimates, strict=True)
        },
        "on_front_before": row.before,
        "on_front": row.after,
        "status": row.status,
        "reason": row.reason,
    }
