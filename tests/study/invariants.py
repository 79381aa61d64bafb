"""What holds of a study however often its processes were killed, once its budget is used up."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuner.load.parquet import read_samples
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.search.distributions import configuration_of
from tuner.search.study_sampler import UNTRUSTED
from tuner.spec.study import StudySpec
from tuner.study.queue import REPEATS
from tuner.study.storage import AGAIN, GIVEN_UP, samples_directory


def broken_invariants(
    spec: StudySpec, study: Study, results: Path, database: Path | None = None
) -> list[str]:
    """Each in words; empty where all hold. The budget is one of trials."""
    trials = study.get_trials(deepcopy=False)
    return [
        *_of_the_budget(spec, trials),
        *_of_configurations(spec, trials),
        *_of_samples(study, trials, results),
        *(_of_the_file(database) if database else ()),
    ]


def _of_the_budget(spec: StudySpec, trials: list[FrozenTrial]) -> Iterator[str]:
    states = Counter(t.state for t in trials)
    if states[TrialState.RUNNING]:
        yield f"{states[TrialState.RUNNING]} trials are RUNNING"
    if states[TrialState.COMPLETE] != spec.budget.trials:
        yield f"{states[TrialState.COMPLETE]} trials are complete, not {spec.budget.trials}"


def _of_configurations(spec: StudySpec, trials: list[FrozenTrial]) -> Iterator[str]:
    of = {t.number: configuration_of(spec.search_space, t) for t in trials}
    asked = [t for t in trials if any(name in t.user_attrs for name in REPEATS)]
    first = [t for t in trials if t.state is TrialState.COMPLETE and t not in asked]
    twice = [c for c, count in Counter(of[t.number] for t in first).items() if count > 1]
    if twice:
        yield f"measured twice though nobody asked: {twice}"
    kept = (TrialState.COMPLETE, TrialState.WAITING)
    there = {of[t.number] for t in trials if t.state in kept or UNTRUSTED in t.user_attrs}
    lost = [
        t.number
        for t in trials
        if t.state is TrialState.FAIL
        and not {UNTRUSTED, GIVEN_UP} & t.user_attrs.keys()
        and of[t.number] not in there
    ]
    if lost:
        yield f"the configurations of trials {lost} are lost"
    successors = Counter(t.user_attrs[AGAIN] for t in trials if AGAIN in t.user_attrs)
    if doubled := [number for number, count in successors.items() if count > 1]:
        yield f"trials {doubled} have more than one successor"


def _of_samples(study: Study, trials: list[FrozenTrial], results: Path) -> Iterator[str]:
    told = [
        TrialRecord.from_json(t.user_attrs[ATTRIBUTE]) for t in trials if ATTRIBUTE in t.user_attrs
    ]
    named = {record.samples for record in told if record.samples}
    directory = samples_directory(study, results)
    there = {str(path.relative_to(results)) for path in directory.glob("*")}
    there |= {str(p.relative_to(results)) for p in directory.glob(".*")}
    if named - there:
        yield f"samples are missing: {sorted(named - there)}"
    if there - named:
        yield f"files that belong to no trial: {sorted(there - named)}"
    for record in told:
        if record.samples and record.samples in there and record.measurement:
            recording = read_samples(results / record.samples)
            if len(recording.samples) < record.measurement.requests:
                yield f"trial {record.number} has fewer samples than its record says"


def _of_the_file(database: Path) -> Iterator[str]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        yield f"PRAGMA integrity_check: {found}"
