"""Trials of a SQLite file are read again where it has changed, and only there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tuner.study.sqlite_file import PREFIX, sqlite_storage

STEPS = ("add", "ask", "attribute", "tell", "look")

steps = st.lists(st.tuples(st.booleans(), st.sampled_from(STEPS)), max_size=12)


def taken(study: optuna.Study, step: str) -> None:
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if step == "add":
        study.add_trial(create_trial(state=TrialState.WAITING))
    elif step == "ask":
        study.ask().suggest_int("x", 0, 9)
    elif step == "attribute" and running:
        optuna.trial.Trial(study, running[0]._trial_id).set_user_attr("n", len(running))  # noqa: SLF001
    elif step == "tell" and running:
        study.tell(running[-1].number, 1.0)


@given(steps)
@settings(max_examples=15)
def test_each_process_sees_what_the_other_wrote(sequence: list[tuple[bool, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "study.db"
        with opened(path) as first, opened(path) as second, disposed(plain(path)) as truth:
            optuna.create_study(study_name="seen", storage=first)
            both = [optuna.load_study(study_name="seen", storage=s) for s in (first, second)]
            for mine, step in sequence:
                taken(both[mine], step)
                stored = truth.get_all_trials(1)
                assert [study.get_trials() for study in both] == [stored, stored]


def test_nothing_is_read_twice_between_two_writes(tmp_path: Path) -> None:
    with opened(tmp_path / "study.db") as storage:
        study = optuna.create_study(storage=storage)
        study.ask().suggest_int("x", 0, 9)
        study.get_trials()
        with selects() as read:
            study.get_trials(deepcopy=False)
            study.get_trials(states=(TrialState.RUNNING,))
        assert read == []
        study.tell(0, 1.0)
        with selects() as read:
            assert study.get_trials()[0].state == TrialState.COMPLETE
        assert read


def plain(path: Path) -> RDBStorage:
    return RDBStorage(f"{PREFIX}{path}")


@contextmanager
def disposed(storage: RDBStorage) -> Iterator[RDBStorage]:
    try:
        yield storage
    finally:
        storage.engine.dispose()


@contextmanager
def opened(path: Path) -> Iterator[optuna.storages.BaseStorage]:
    """As each process opens it: with Optuna's cache of finished trials around it."""
    with disposed(sqlite_storage(path, create=True)) as storage:
        yield optuna.storages.get_storage(storage)


@contextmanager
def selects() -> Iterator[list[str]]:
    read: list[str] = []

    def count(*call: object) -> None:
        if str(call[2]).startswith("SELECT"):
            read.append(str(call[2]))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield read
    finally:
        event.remove(Engine, "before_cursor_execute", count)
