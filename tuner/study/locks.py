"""One process at a time decides what a study does next."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tuner.errors import SetupError
from tuner.interrupts import interruptible
from tuner.study.patience import Patience, holder
from tuner.study.sqlite_file import SqliteStorage

_ADVISORY = {
    "postgresql": (
        "SELECT pg_advisory_lock(hashtext(:name))",
        "SELECT pg_advisory_unlock(hashtext(:name))",
    ),
    "mysql": ("SELECT GET_LOCK(sha1(:name), -1)", "SELECT RELEASE_LOCK(sha1(:name))"),
}
"""The statements by which a database locks and unlocks; the lock ends with the session."""

TURN_SECONDS = 300.0
"""So long a process waits for its turn. Another one has it for as long as a proposal takes."""

_LOOK_SECONDS = 0.02


@contextmanager
def study_lock(study: Study) -> Iterator[None]:
    """Inside, no other process looks at the study's trials to decide what comes next.

    Several processes may run one study; only one of them asks at once.
    """
    with lock_of(study._storage, study.study_name):  # noqa: SLF001 -- Optuna has no public way to it
        yield


@contextmanager
def lock_of(storage: BaseStorage, name: str) -> Iterator[None]:
    """Inside, no other process is inside for the study `name` of this storage.

    The lock is that of a file beside a SQLite database, else one of the database server, so a
    process that is killed holds none. A storage of another kind belongs to one process.
    """
    inner = getattr(storage, "_backend", storage)  # what a cache is for
    if isinstance(inner, SqliteStorage):
        with file_lock(lock_file(inner.path)):
            yield
    elif isinstance(inner, RDBStorage) and inner.engine.dialect.name in _ADVISORY:
        with _server_lock(inner.engine, name):
            yield
    else:
        yield


def lock_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


@contextmanager
def _server_lock(engine: Engine, name: str) -> Iterator[None]:
    take, give = _ADVISORY[engine.dialect.name]
    with engine.connect() as connection:
        named = {"name": f"tune/{name}"}
        connection.execute(text(take), named)
        try:
            yield
        finally:
            # With the connection the lock is lost, so nothing is left to give back.
            with suppress(DBAPIError):
                connection.execute(text(give), named)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Inside, no other process or thread is inside for the same file, which stays there.

    An interrupt ends the wait. Raises SetupError where the file cannot be had or written.
    """
    try:
        file = path.open("w")
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written: {error.strerror}",
            "a study needs a directory that can be written: check its permissions, and whether its"
            " disk is read-only or full; or name another --storage",
        ) from error
    with file:
        patience = Patience(f"the turn of this worker ({path})", TURN_SECONDS)
        with interruptible():
            while not _taken(file.fileno()):
                if not patience.more(lambda: f"{holder(path)} has it"):
                    raise SetupError(
                        f"{path} is locked by {holder(path)}, and was still after"
                        f" {TURN_SECONDS:.0f} s",
                        "see what that process waits for, or end it; then run again",
                    )
                time.sleep(_LOOK_SECONDS)
        patience.over()
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
