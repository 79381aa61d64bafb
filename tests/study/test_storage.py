from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from tests.study.small import specification
from tuner.backends.simulated import simulated_backend
from tuner.errors import InputError
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import run_study
from tuner.study.next import Goal
from tuner.study.start import start_or_resume
from tuner.study.storage import (
    StudySummary,
    default_url,
    finished_study,
    finished_trials,
    found_studies,
    open_storage,
    stored_record,
    study_id,
    summaries,
)

URL = "sqlite:///study.db"


def run(spec: StudySpec, trials: int = 2, url: str = URL) -> None:
    study = start_or_resume(spec, open_storage(url, create=True), "simulated")
    goal = Goal(trials, None)
    run_study(spec, study, simulated_backend(spec), results_directory(spec), goal)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("choices: [0.25, 0.5, 1]", "choices: [0.5, 1]", "search_space.cpu.choices"),
        ("choices: [1, 4], default: 4", "choices: [1, 4], default: 1", "concurrency.default"),
        ("max_seconds: 1", "max_seconds: 2", "load.max_seconds"),
        ("[art_ms, cpu_percent]", "[p95_ms, cpu_percent]", "objectives"),
        ("error_rate <= 0.01", "error_rate <= 0.02", "constraints"),
    ],
)
def test_trials_that_cannot_be_compared_are_never_mixed(old: str, new: str, key: str) -> None:
    run(specification())
    with pytest.raises(InputError, match="cannot be compared") as caught:
        run(specification((old, new)), 4)
    assert key in caught.value.message
    assert caught.value.mend
    assert len(finished_trials("small", URL)) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("trials: 8", "trials: 6"),
        ("seed: 3", "seed: 4"),
        ("sampler: tpe", "sampler: random"),
        ("{role: decision, type: float", "{role: scenario, type: float"),
    ],
)
def test_what_does_not_change_a_measurement_may_change(old: str, new: str) -> None:
    run(specification())
    spec = specification((old, new))
    run(spec, 3)
    record = stored_record("small", open_storage(URL, create=False))
    assert len(record.trials) == 3
    assert record.search_space == spec.search_space


def test_backends_are_never_mixed() -> None:
    spec = specification()
    run(spec)
    with pytest.raises(InputError, match="made by backend 'simulated'") as caught:
        start_or_resume(spec, open_storage(URL, create=False), "docker")
    assert "--backend simulated" in caught.value.mend
    results = results_directory(spec)
    assert default_url(results, "docker") != default_url(results, "simulated")


def test_a_study_reads_back_as_it_was_specified() -> None:
    spec = specification()
    run(spec, 4)
    record = stored_record("small", open_storage(URL, create=False))
    assert (record.name, record.model) == ("small", "mnist")
    assert record.search_space == spec.search_space
    assert record.objectives == spec.objectives
    assert record.constraints == spec.constraints
    assert record.serving["image"] == "tune"
    assert record.environment["backend"] == "simulated"
    assert list(record.trials) == finished_trials("small", URL)
    assert record.baseline == record.trials[0]
    assert study_id("small", open_storage(URL, create=False)) == 1


def test_a_start_that_was_killed_is_started_again() -> None:
    spec = specification()
    storage = open_storage(URL, create=True)
    directions = [o.direction for o in spec.objectives]
    optuna.create_study(study_name="small", storage=storage, directions=directions)
    assert summaries(storage) == []
    run(spec)
    assert summaries(storage) == [StudySummary("small", "simulated", 2, 0)]


def test_studies_are_found_in_their_own_databases_or_in_a_given_one() -> None:
    for name in ("one", "two"):
        run(specification(name=name))
        run(specification(name=name), 1, default_url(results_directory(name), "simulated"))
    names = ["none", "one", "two"]
    in_own = [("one", 1), ("two", 1)]
    assert [(name, [(s.name, s.complete) for s in held]) for name, held in
            found_studies(names, results_directory, None)] == [
        ("none", []), *((name, [(name, count)]) for name, count in in_own)
    ]  # fmt: skip
    given = found_studies(names, results_directory, [URL])
    assert [(name, held[0].complete) for name, held in given] == [("one", 2), ("two", 2)]


def test_reading_makes_no_database() -> None:
    with pytest.raises(InputError, match="no study database") as caught:
        open_storage("sqlite:///missing/study.db", create=False)
    assert "--storage" in caught.value.mend
    assert finished_trials("small", "sqlite:///missing/study.db") == []
    assert not Path("missing").exists()


def test_a_study_that_is_not_there_is_named_with_those_that_are() -> None:
    run(specification())
    with pytest.raises(InputError, match=r"'other'.*small"):
        stored_record("other", open_storage(URL, create=False))
    assert finished_trials("other", URL) == []


# pragma: allowlist nextline secret -- nobody has it
@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://user:secret@host/x"])
def test_a_wrong_storage_is_an_input_error_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match=r"cannot be opened|is neither") as caught:
        open_storage(url, create=True)
    assert "secret" not in str(caught.value)
    assert "sqlite:///" in caught.value.mend


def foreign_database(name: str = "foreign.db") -> str:
    """The URL of a database in which another program's study has the name of ours."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="small", storage=f"sqlite:///{name}", directions=["minimize", "minimize"]
    )
    study.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    return f"sqlite:///{name}"


def test_a_study_of_another_program_is_refused_and_left_alone() -> None:
    url = foreign_database()
    storage = open_storage(url, create=False)
    spec = specification()
    for read in (
        lambda: start_or_resume(spec, storage, "simulated"),
        lambda: stored_record("small", storage),
        lambda: finished_study("small", storage, results_directory(spec)),
        lambda: finished_trials("small", url),
    ):
        with pytest.raises(InputError, match="not one of tune's") as caught:
            read()
        assert caught.value.mend
    assert summaries(storage) == []
    assert optuna.load_study(study_name="small", storage=url).user_attrs == {}


def test_a_database_of_other_tables_is_refused() -> None:
    with closing(sqlite3.connect("other.db")) as connection, connection:
        connection.execute("CREATE TABLE studies (study_name TEXT)")
    storage = open_storage("sqlite:///other.db", create=False)
    for use in (
        lambda: start_or_resume(specification(), storage, "simulated"),
        lambda: stored_record("small", storage),
        lambda: summaries(storage),
    ):
        with pytest.raises(
            InputError, match=r"other.db is not a database of Optuna: .*no "
        ) as caught:
            use()
        assert "--storage" in caught.value.mend


def test_a_table_that_cannot_have_the_index_of_names_is_left_as_it_is() -> None:
    with closing(sqlite3.connect("other.db")) as connection, connection:
        connection.execute("CREATE TABLE studies (name TEXT)")
    with pytest.raises(InputError, match=r"other.db is not a database of Optuna: .*no ") as caught:
        open_storage("sqlite:///other.db", create=False)
    assert "--storage" in caught.value.mend
    with closing(sqlite3.connect("other.db")) as connection:
        there = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert there == [("studies",)]


def test_what_is_no_database_file_is_refused_and_gets_no_lock() -> None:
    Path("directory").mkdir()
    for url in ("sqlite:///directory", "sqlite:///"):
        for create in (True, False):
            with pytest.raises(InputError, match="no database file"):
                open_storage(url, create=create)
    assert [path.name for path in Path().iterdir()] == ["directory"]


def test_tables_are_made_in_one_transaction(tmp_path: Path) -> None:
    """Whoever is killed while they are made leaves none of them."""
    path = tmp_path / "study.db"
    program = f"""
import os, signal, sqlite3
from pathlib import Path
from sqlalchemy import Index, event
from tuner.study.storage import open_storage

@event.listens_for(Index, "before_create")
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

open_storage("sqlite:///{path}", create=True)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    open_storage(f"sqlite:///{path}", create=True)


def test_the_index_of_names_that_a_killed_start_of_an_earlier_version_left_out_is_made(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    open_storage(url, create=True)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute("DROP INDEX ix_studies_study_name")
    for _ in range(2):
        storage = open_storage(url, create=True)
        optuna.create_study(storage=storage, study_name="a", load_if_exists=True)
    assert [study.study_name for study in storage.get_all_studies()] == ["a"]
