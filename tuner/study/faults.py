"""What a storage refuses, in words: what happened, to which file or server, and what to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb.models import NOT_FOUND_MSG
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tuner.errors import InputError, SetupError, TuneError
from tuner.study.patience import holder

RESTORE = "restore it from a copy, or name another --storage"

LOCKED_SECONDS = 30.0
"""So long a file is waited for that another process has locked."""

AGAIN = "then run the same command again: the study goes on where it stopped"

_OF_THE_SERVER = {
    "08": ("the database server cannot be reached", f"see that it runs, {AGAIN}"),
    "28": ("the database server refuses the user", "check the user, PGPASSWORD or ~/.pgpass"),
    "3D": ("there is no such database", "create it (`createdb NAME`), or name another --storage"),
    "42": (
        "the database has other tables than Optuna's, or the user may not use them",
        "name another --storage, or grant the user what it needs",
    ),
    "25": ("the database is read-only now", f"let it be written again, {AGAIN}"),
    "53": (
        "the database server has run out of space, memory or connections",
        f"free some there, {AGAIN}",
    ),
    "57": ("the database server is stopping or starting", f"see that it runs, {AGAIN}"),
}
"""By the class of PostgreSQL's error code: what happened, and what to do."""

_NO_SUCH_STATE = "is not among the defined enum values"
"""SQLAlchemy's words of a column that has one of a few values."""

_LOST = _OF_THE_SERVER["08"]

_REFUSED = (
    "cannot be opened or written",
    f"check the permissions of the file and its directory, and the mode of its disk, {AGAIN}",
)
_OF_A_FILE = {
    sqlite3.SQLITE_FULL: ("has no space left", f"free some on its disk, {AGAIN}"),
    sqlite3.SQLITE_READONLY: _REFUSED,
    sqlite3.SQLITE_CANTOPEN: _REFUSED,
    sqlite3.SQLITE_PERM: _REFUSED,
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "restore a copy, or move it away and run again (`sqlite3 FILE .recover` may save the rest)",
    ),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written",
        f"look for faults and free space of its disk, {AGAIN}",
    ),
}
"""By SQLite's result code: what happened to the file, and what to do."""


class SqliteFault(sqlite3.DatabaseError):
    """What SQLite said of the file `path`; `code` is its primary result code."""

    def __init__(self, error: sqlite3.DatabaseError, path: Path) -> None:
        super().__init__(*error.args)
        self.path = path
        self.extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        self.code = self.extended & 0xFF


class SqliteOperationalFault(SqliteFault, sqlite3.OperationalError):
    """The same, of the kind for which SQLAlchemy and Optuna look."""


@contextmanager
def refused_if_broken(what: str, mend: str) -> Iterator[None]:
    """Raises an InputError that says `what` is broken, for what Python raises of wrong data.

    What was deleted meanwhile, and what the database raises, passes through.
    """
    try:
        yield
    except SQLAlchemyError:
        raise
    except (
        ArithmeticError,
        AssertionError,  # Optuna's, of a value that is missing
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        if error.args == (NOT_FOUND_MSG,):
            raise
        raise InputError(f"{what}: {error!r}", mend) from error


def whole_trials(read: Callable[[], list[FrozenTrial]], where: str) -> list[FrozenTrial]:
    """The trials that `read` gives of a storage. Raises InputError where one of them is broken."""
    with refused_if_broken(f"{where}: a trial in it is broken", RESTORE):
        trials = read()
        for trial in trials:
            if not isinstance(trial.number, int):
                raise TypeError(f"the number of a trial is {trial.number!r}")
        return trials


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns what a database raises into a TuneError that says whose fault it is.

    SetupError for a fault of the world, InputError for a database that is another program's.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise storage_fault(error) from error
    except (json.JSONDecodeError, LookupError) as error:
        if isinstance(error, json.JSONDecodeError) or _NO_SUCH_STATE in str(error):
            raise InputError(
                f"the study's storage is broken: {reason_of(error)}",
                RESTORE,
            ) from error
        if error.args != (NOT_FOUND_MSG,):
            raise
        raise SetupError(
            "the study was deleted from its storage while it was used",
            "run it again to begin afresh, or restore the storage from a copy",
        ) from error


def storage_fault(error: BaseException) -> TuneError:
    """What a database, SQLAlchemy or Optuna raised, in words."""
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, SqliteFault):
            return _of_file(cause)
    for cause in causes:
        if isinstance(cause, DBAPIError):
            return _of_server(cause)
    return _unusable(causes[-1])


def _unusable(error: BaseException) -> SetupError:
    return SetupError(
        f"the study's storage cannot be used: {reason_of(error)}",
        "see that it is whole, Optuna's, and may be written, or name another one by --storage",
    )


def reason_of(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def connection_lost(error: BaseException) -> bool:
    """Whether the server of a storage went away, so that the same may succeed later."""
    return any(
        isinstance(cause, DBAPIError)
        and (cause.connection_invalidated or _code(cause).startswith(("08", "57")))
        and not isinstance(cause.orig, sqlite3.Error)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, DBAPIError) and cause.orig is not None:
            yield cause.orig
        cause = cause.__cause__ or cause.__context__


def _of_server(error: DBAPIError) -> TuneError:
    cause = error.orig or error
    lost = error.connection_invalidated or not _code(error)
    found = _OF_THE_SERVER.get(_code(error)[:2], _LOST if lost else None)
    if found is None:
        return _unusable(cause)
    what, mend = found
    return SetupError(f"{what}: {reason_of(cause)}", mend)


def _code(error: DBAPIError) -> str:
    """PostgreSQL's five letters; empty where the server was not even reached."""
    return getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None) or ""


def _of_file(fault: SqliteFault) -> TuneError:
    path = fault.path
    if fault.extended == sqlite3.SQLITE_READONLY_DBMOVED or not path.exists():
        return SetupError(
            f"{path} was deleted, moved or replaced while it was used",
            "put it back and run the same command again, or run it to begin afresh",
        )
    if fault.code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return SetupError(
            f"{path} is locked by {holder(path)}, and was still after {LOCKED_SECONDS:.0f} s",
            f"end what locks it, {AGAIN}",
        )
    if fault.code in _OF_A_FILE:
        what, mend = _OF_A_FILE[fault.code]
        return SetupError(f"{path} {what}: {reason_of(fault)}", mend)
    return InputError(
        f"{path} is not a database of Optuna: {reason_of(fault)}",
        "name another file by --storage",
    )
