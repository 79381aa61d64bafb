"""A study's SQLite file: who writes waits for others, and what goes wrong names the file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from tuner.errors import InputError
from tuner.study.faults import LOCKED_SECONDS, SqliteFault, SqliteOperationalFault, whole_trials
from tuner.study.patience import Patience, holder

PREFIX = "sqlite:///"
"""Of the URL of a file; all that follows is its path."""

_SLICE_SECONDS = 1.0
"""So long SQLite waits by itself, in silence."""

_AGAIN_SECONDS = 0.1
"""Where it does not wait at all, because two processes wait for each other."""

_TABLES_ATTEMPTS, _TABLES_SECONDS = 20, 0.1
"""How often, and after how long, a reader looks again while another process makes the tables."""

_Result = TypeVar("_Result")


class _Connection(sqlite3.Connection):
    """A connection that waits for others in slices, so that somebody can be told."""

    path: Path

    def waited_for(self, path: Path) -> None:
        self.path = path
        self._patience = Patience(f"the study's database {path}", LOCKED_SECONDS)

    def cursor(self, _factory: Any = None) -> Any:  # noqa: ANN401 -- as the base's
        return _Cursor(self)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 -- as the base's
        return _Cursor(self).execute(sql, parameters)

    def commit(self) -> None:
        self.patiently(super().commit)

    def patiently(self, action: Callable[[], _Result]) -> _Result:
        """The action, again and again while another process has the file.

        A statement or a commit that finds the file locked has done nothing.
        """
        while True:
            try:
                with _named_faults(self.path):
                    result = action()
            except SqliteFault as fault:
                if fault.code != sqlite3.SQLITE_BUSY or not self._patience.more(self._why):
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                self._patience.over()
                return result

    def _why(self) -> str:
        return f"it is locked by {holder(self.path)}"


class _Cursor(sqlite3.Cursor):
    _file: _Connection

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection)
        self._file = connection

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:  # noqa: ANN401 -- as the base's
        return self._file.patiently(partial(super().execute, sql, parameters))

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:  # noqa: ANN401 -- as the base's
        # An iterator could not be sent twice.
        return self._file.patiently(partial(super().executemany, sql, list(parameters)))

    def fetchone(self) -> Any:  # noqa: ANN401 -- as the base's
        with _named_faults(self._file.path):
            return super().fetchone()

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        with _named_faults(self._file.path):
            return super().fetchmany(size)

    def fetchall(self) -> list[Any]:
        with _named_faults(self._file.path):
            return super().fetchall()


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    """Faults of the file, and no mistakes of who asks, name the file."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        operational = isinstance(error, sqlite3.OperationalError)
        kind = SqliteOperationalFault if operational else SqliteFault
        raise kind(error, path) from error


@dataclass(frozen=True)
class _Seen:
    """Trials by id: all whose id is greater than `after`, and some others, at a version."""

    version: object
    trials: Mapping[int, FrozenTrial]
    after: int

    def has(self, version: object, ids: set[int], after: int) -> bool:
        """Whether the trials of these ids and of all that are greater than `after` are here."""
        return self.version == version and after >= self.after and ids <= self.trials.keys()


class SqliteStorage(RDBStorage):
    """Optuna's storage in the file `path`, whatever characters the path has.

    With `create` the first connection makes the file. Later ones never do: one that was deleted
    meanwhile would come back empty.

    A run looks at all trials a dozen times between two of its writes. They are read again where
    the file has changed since.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path.absolute()
        self._mode = "rwc" if create else "rw"
        self._seen: _Seen | None = None
        self._make_tables()
        super().__init__(
            # Nobody looks at it: a path with `?` or `{` in it would be misunderstood.
            f"{PREFIX}study.db",
            # As SQLAlchemy's for a file, which it cannot know here.
            # One connection is used again and again: it alone can tell what has changed.
            engine_kwargs={
                "creator": self._connected,
                "poolclass": QueuePool,
                "pool_use_lifo": True,
            },
            skip_table_creation=True,
        )

    def _make_tables(self) -> None:
        """Make all tables and indices that are missing, or none.

        Optuna makes them one by one. Who is killed before the index of names is there leaves a
        database in which each start makes another study of the same name.
        """
        engine = create_engine(f"{PREFIX}study.db", creator=self._connected, poolclass=NullPool)
        schema = models.BaseModel.metadata
        indices = [index for table in schema.sorted_tables for index in table.indexes]
        wanted = {*schema.tables, *(index.name for index in indices)}
        # In this mode the driver begins and ends no transaction of its own.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            there = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars()
            if wanted <= set(there):
                return  # who only reads takes no lock
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            schema.create_all(connection)
            for index in indices:  # of tables that were there already
                index.create(connection, checkfirst=True)
            connection.exec_driver_sql("COMMIT")

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        # What is written after the version was taken makes it old: trials are read once too often.
        version = study_id, states, *self._version()
        seen = self._seen
        if seen is None or not seen.has(version, included_trial_ids, trial_id_greater_than):
            ids, after = included_trial_ids, trial_id_greater_than
            read = partial(super()._get_trials, study_id, states, ids, after)
            trials = whole_trials(read, str(self.path))
            by_id = {trial._trial_id: trial for trial in trials}  # noqa: SLF001 -- Optuna's own key
            self._seen = seen = _Seen(version, by_id, after)
        return [
            trial
            for number, trial in seen.trials.items()
            if number > trial_id_greater_than or number in included_trial_ids
        ]

    def _version(self) -> tuple[object, int, int]:
        """It stays the same while no connection, this one or another, changes the file.

        `PRAGMA data_version` counts the commits of others as one connection sees them.
        """
        pooled = self.engine.raw_connection()
        try:
            connection = pooled.driver_connection
            assert isinstance(connection, _Connection)
            (others,) = connection.execute("PRAGMA data_version").fetchone()
            return connection, others, connection.total_changes
        finally:
            pooled.close()

    def _connected(self) -> sqlite3.Connection:
        with _named_faults(self.path):
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode={self._mode}",
                uri=True,
                timeout=_SLICE_SECONDS,
                check_same_thread=False,
                factory=_Connection,
            )
        self._mode = "rw"
        connection.waited_for(self.path)
        return connection


def sqlite_storage(path: Path, *, create: bool) -> SqliteStorage:
    """The storage in a SQLite file.

    Who only reads takes no lock, and may come while another process makes the tables: then they are
    there a moment later. Raises InputError for the database of another program, which stays as it
    is.
    """
    if path.exists():
        _refuse_foreign(path)
    for _ in range(_TABLES_ATTEMPTS):
        try:
            return SqliteStorage(path, create=create)
        except OperationalError as error:
            if "already exists" not in str(error):
                raise
            time.sleep(_TABLES_SECONDS)
    return SqliteStorage(path, create=create)


def _refuse_foreign(path: Path) -> None:
    """Optuna would make its tables beside those of another program."""
    own = {*models.BaseModel.metadata.tables, "alembic_version"}
    with_all = _tables(path)
    foreign = sorted(name for name in with_all if name not in own)
    if foreign:
        raise InputError(
            f"{path} is the database of another program: it has the table {foreign[0]!r}",
            "name the file of a study, or one that is not there yet, by --storage",
        )


def _tables(path: Path) -> Sequence[str]:
    """The tables of a SQLite file; none where it cannot be read now, which opening it says."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
    except sqlite3.Error:
        return ()
    try:
        rows = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return [str(name) for (name,) in rows]
    except sqlite3.Error:
        return ()
    finally:
        connection.close()
