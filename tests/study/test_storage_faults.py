"""A storage that cannot be used is told as what it is, and a study survives it."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from tests.study.small import FEASIBLE, opened, run, specification, url_of
from tuner.errors import InputError, SetupError, TuneError
from tuner.measure.record import StudyRecord
from tuner.study import patience, sqlite_file
from tuner.study.loop import Event, Started
from tuner.study.storage import (
    finished_trials,
    open_storage,
    records,
    stored_record,
    study_record,
    summaries,
)

HOLDS = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], isolation_level=None) as database:
    database.execute("BEGIN EXCLUSIVE")
    print("held", flush=True)
    sys.stdin.read()
"""


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def locked(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has an exclusive lock on a SQLite file, until its input ends."""
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short; what is waited for is said at once."""
    monkeypatch.setattr(sqlite_file, "LOCKED_SECONDS", 1.0)
    monkeypatch.setattr(sqlite_file, "_SLICE_SECONDS", 0.1)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("create", [True, False])
def test_a_locked_database_is_waited_for_and_then_told_with_who_holds_it(
    create: bool, caplog: pytest.LogCaptureFixture
) -> None:
    spec = specification()
    run(spec, more=1)
    path = file_of(url_of(spec))
    with locked(path) as holder:
        with pytest.raises(SetupError, match=rf"db is locked by process {holder.pid} \(") as caught:
            summaries(open_storage(url_of(spec), create=create))
        assert "goes on where it stopped" in caught.value.mend
        said = [r.getMessage() for r in caplog.records if "waiting for" in r.getMessage()]
        assert len(said) == 1
        assert f"locked by process {holder.pid}" in said[0]
    assert summaries(open_storage(url_of(spec), create=create))[0].complete == 1


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_free_again_in_time_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_file, "LOCKED_SECONDS", 60.0)
    spec = specification()
    run(spec, more=1)
    with locked(file_of(url_of(spec))) as holder, caplog.at_level(logging.WARNING):

        class Ending(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "waiting for" in record.getMessage():
                    holder.communicate("")

        logger = logging.getLogger(patience.__name__)
        handler = Ending()
        logger.addHandler(handler)
        try:
            assert len(records(run(spec, more=1))) == 2
        finally:
            logger.removeHandler(handler)
    assert any("is there again" in r.getMessage() for r in caplog.records)


def test_patience_is_said_once_and_ends() -> None:
    times = iter([0.0, 4.0, 13.0, 22.0, 30.0, 31.0, 60.0])
    waits = patience.Patience("it", 30.0, lambda: next(times))
    assert [waits.more(lambda: "so") for _ in range(5)] == [True] * 4 + [False]
    assert not waits.more(lambda: "so"), "who asks again at once is not given the whole wait anew"
    assert waits.more(lambda: "so"), "who asks much later is"


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def revision(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE alembic_version SET version_num = ?", (name,))

    return change


@pytest.mark.parametrize(
    ("break_it", "kind", "message", "mend"),
    [
        (damage, SetupError, "is damaged: ", "restore a copy"),
        (lambda path: path.write_bytes(b"text " * 999), InputError, "not a database", "--storage"),
        (revision("v2.6.0.a"), SetupError, "an older version of Optuna", "optuna storage upgrade"),
        (revision("v99.0.0.a"), SetupError, "a newer version of Optuna", "--upgrade optuna"),
    ],
)
def test_a_broken_database_is_told_as_what_it_is(
    break_it: Callable[[Path], None], kind: type[TuneError], message: str, mend: str
) -> None:
    spec = specification()
    run(spec, more=1)
    break_it(file_of(url_of(spec)))

    def read() -> StudyRecord:
        return stored_record("small", open_storage(url_of(spec), create=False))

    for use in (lambda: run(spec), read):
        with pytest.raises(kind, match=message) as caught:
            use()
        assert mend in caught.value.mend


def test_the_database_of_another_program_gets_no_tables() -> None:
    with closing(sqlite3.connect("other.db")) as database, database:
        database.execute("CREATE TABLE bookmarks (name TEXT)")
    before = Path("other.db").read_bytes()
    for create in (True, False):
        with pytest.raises(InputError, match="another program: it has the table 'bookmarks'"):
            open_storage("sqlite:///other.db", create=create)
    assert Path("other.db").read_bytes() == before


def in_trial(number: int, action: Callable[[], object]) -> Callable[[Event], None]:
    def observe(event: Event) -> None:
        if isinstance(event, Started) and event.number == number:
            action()

    return observe


@pytest.fixture
def connections() -> Iterator[list[sqlite3.Connection]]:
    """Those that were made since and are open, as users have them."""
    made: list[sqlite3.Connection] = []

    def keep(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode = DELETE")
        made.append(connection)

    def forget(connection: sqlite3.Connection, _: object) -> None:
        made.remove(connection)

    event.listen(Engine, "connect", keep)
    event.listen(Pool, "close", forget)
    yield made
    event.remove(Pool, "close", forget)
    event.remove(Engine, "connect", keep)


def test_a_full_disk_ends_the_run_and_the_study_goes_on_when_there_is_space(
    connections: list[sqlite3.Connection],
) -> None:
    spec = specification(FEASIBLE)

    def fill() -> None:
        """SQLite says of this limit what it says of a full disk."""
        for connection in connections:
            connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(SetupError, match="has no space left") as caught:
        run(spec, observe=in_trial(2, fill))
    assert "goes on where it stopped" in caught.value.mend
    with closing(sqlite3.connect(file_of(url_of(spec)))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(finished_trials("small", url_of(spec))) == 2
    study = run(spec)
    assert len({t.configuration for t in records(study)}) == len(records(study)) == 8
    assert TrialState.RUNNING not in {t.state for t in study.get_trials()}


@pytest.mark.usefixtures("connections")
def test_a_database_that_is_deleted_is_not_made_anew_by_the_run() -> None:
    spec = specification(FEASIBLE)
    path = file_of(url_of(spec))
    kept = path.with_suffix(".kept")
    with pytest.raises(SetupError, match="was deleted, moved or replaced while it was used"):
        run(spec, observe=in_trial(2, lambda: path.rename(kept)))
    assert not path.exists()
    kept.rename(path)
    study = opened(spec)
    assert len(records(study)) == 2


def test_a_study_that_is_deleted_meanwhile_is_told_so() -> None:
    spec = specification(FEASIBLE)
    delete = lambda: optuna.delete_study(study_name="small", storage=url_of(spec))  # noqa: E731
    with pytest.raises(SetupError, match="the study was deleted from its storage"):
        run(spec, observe=in_trial(2, delete))


@pytest.mark.parametrize("name", ["what?", "a#b", "100%20", "{x}", "a b", "q'\"", "ü"])
def test_a_directory_may_have_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / name
    place.mkdir()
    monkeypatch.chdir(place)
    spec = specification(FEASIBLE)
    assert len(records(run(spec, more=2))) == 2
    assert file_of(url_of(spec)).is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert TrialState.RUNNING not in {t.state for t in opened(spec).get_trials()}


def test_a_place_that_cannot_be_written_is_no_wrong_url() -> None:
    Path("file").touch()
    with pytest.raises(SetupError, match="directory file/below cannot be made") as caught:
        open_storage("sqlite:///file/below/study.db", create=True)
    assert "permissions" in caught.value.mend


CHANGES = (
    *(
        f"UPDATE study_user_attributes SET value_json = '{value}' WHERE key = '{key}'"
        for key in ("specification", "comparable", "seeded", "backend", "samples")
        for value in ("[1, 2]", "7.5", "null", "{")
    ),
    "UPDATE trial_user_attributes SET value_json = '[]' WHERE key = 'record'",
    "UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'owner'",
    "UPDATE trials SET state = 'DREAMING'",
    "UPDATE trial_params SET distribution_json = '{}'",
    "UPDATE trial_params SET distribution_json = '{'",
    "UPDATE trial_params SET param_value = NULL",
    "UPDATE trial_values SET value = NULL",
    "UPDATE trial_values SET value_type = 'SOME'",
    "UPDATE trial_system_attributes SET value_json = '{'",
    "UPDATE trials SET number = NULL",
    "UPDATE trials SET datetime_start = 'then'",
    "DELETE FROM study_directions",
)
"""What somebody may write into a database."""


def test_a_storage_that_somebody_changed_is_refused_or_read() -> None:
    spec = specification(FEASIBLE)
    run(spec, more=1)
    path = file_of(url_of(spec))
    whole, refused = path.read_bytes(), 0
    for change in CHANGES:
        for reads in (
            lambda: stored_record("small", open_storage(url_of(spec), create=False)),
            lambda: study_record(opened(spec)),
            lambda: run(spec, more=1),
        ):
            path.write_bytes(whole)
            with closing(sqlite3.connect(path)) as database, database:
                assert database.execute(change).rowcount
            try:
                reads()
            except TuneError:  # any other error is raised by the test
                refused += 1
    assert refused >= 2 * len(CHANGES)
