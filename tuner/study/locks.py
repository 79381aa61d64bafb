"""One process at a time decides what a study does next."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, _CachedStorage
from optuna.study import Study
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tuner.errors import InputError, SetupError
from tuner.interrupts import interruptible
from tuner.study.patience import Patience, holder
from tuner.study.sqlite_file import SqliteStorage

TURN_SECONDS = 300.0
"""So long a process waits for its turn. Another one has it for as long as a proposal takes."""

_LOOK_SECONDS = 0.02

_SLICE_SECONDS = 1
"""So long PostgreSQL waits for a lock by itself, in silence."""

_LOCK_NOT_AVAILABLE = "55P03"

_TAKE = "SELECT pg_advisory_lock(hashtext(:name))"

_GIVE = "SELECT pg_advisory_unlock(hashtext(:name))"

_HOLDER = """
SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND database = datid
AND objid = CAST(CAST(hashtext(:name) AS bigint) & 4294967295 AS oid)
"""


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

    The lock is that of a file beside a SQLite database, or one of a PostgreSQL server, so a process
    that is killed holds none. What this thread asks of the server meanwhile goes through the
    session that has the lock: where the lock is lost, nothing more is written. A storage in memory
    belongs to one process. Raises InputError for any other: nothing keeps workers apart there.
    """
    inner = uncached(storage)
    if isinstance(inner, SqliteStorage):
        with file_lock(lock_file(inner.path)):
            yield
    elif isinstance(inner, RDBStorage) and inner.engine.dialect.name == "postgresql":
        with server_lock(inner.engine, name) as session, _over(inner, session):
            yield
    elif isinstance(inner, InMemoryStorage) or _in_memory(inner):
        yield
    else:
        raise InputError(
            f"a storage of the kind {type(storage).__name__} has no lock, so workers that share it"
            " could measure the same twice",
            "share a study by --storage postgresql://user@host/database",
        )


def uncached(storage: BaseStorage) -> BaseStorage:
    """The storage that Optuna put a cache in front of, or the same where there is no cache."""
    return storage._backend if isinstance(storage, _CachedStorage) else storage  # noqa: SLF001


def _in_memory(storage: BaseStorage) -> bool:
    """Whether it is SQLite's (`sqlite://`), which has no file."""
    return isinstance(storage, RDBStorage) and storage.engine.dialect.name == "sqlite"


def lock_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


@contextmanager
def server_lock(engine: Engine, name: str) -> Iterator[Connection]:
    """Inside, no other session of this PostgreSQL database is inside for the same name.

    The lock ends with the session, which is yielded. An interrupt ends the wait. Raises SetupError
    where another session keeps the lock.
    """
    with engine.connect() as session:
        _take(session, name)
        try:
            yield session
        finally:
            _give(session, name)


def _take(session: Connection, name: str) -> None:
    patience = Patience(f"the turn of this worker (study {name!r})", TURN_SECONDS)
    try:
        while not _had(session, name):
            with interruptible():
                pass
            if not patience.more(lambda: f"{_holder(session, name)} has it"):
                _give_up(f"study {name!r}", _holder(session, name))
    except BaseException:
        session.invalidate()  # it may have the lock, and would keep it
        raise
    patience.over()


def _give_up(what: str, who: str) -> NoReturn:
    raise SetupError(
        f"{what} is locked by {who}, and was still after {TURN_SECONDS:.0f} s",
        "see what that process waits for, or end it; then run again",
    )


def _had(session: Connection, name: str) -> bool:
    """Whether the lock was had; waits for it for some time."""
    try:
        session.execute(text(f"SET LOCAL lock_timeout = '{_SLICE_SECONDS}s'"))
        session.execute(text(_TAKE), _named(name))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
            raise
        session.rollback()
        return False
    session.commit()
    return True


def _give(session: Connection, name: str) -> None:
    if session.invalidated:
        return  # the lock ended with the session
    try:
        session.rollback()
        session.execute(text(_GIVE), _named(name))
        session.commit()
    except DBAPIError:
        session.invalidate()  # and the lock ends too


def _holder(session: Connection, name: str) -> str:
    names = session.execute(text(_HOLDER), _named(name)).scalars().all()
    session.rollback()
    return " and ".join(names) or "another process"


def _named(name: str) -> dict[str, str]:
    return {"name": f"tune/{name}"}


@contextmanager
def _over(storage: RDBStorage, session: Connection) -> Iterator[None]:
    """What this thread asks of the storage goes through this session, and through no later one:
    Optuna and SQLAlchemy would try again in a new one, without the lock.
    """
    asked, thread = storage.scoped_session(), threading.get_ident()

    def refuse(*_: object) -> None:
        if session.invalidated and threading.get_ident() == thread:
            lost = ConnectionError("the session that had the lock has ended")
            raise OperationalError("", {}, lost, connection_invalidated=True)

    event.listen(storage.engine, "checkout", refuse)
    before, asked.bind = asked.bind, session
    try:
        yield
    finally:
        asked.bind = before
        event.remove(storage.engine, "checkout", refuse)


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
        while not _taken(file.fileno()):
            # Only the wait: what was measured is told where nobody else has the lock.
            with interruptible():
                if not patience.more(lambda: f"{holder(path)} has it"):
                    _give_up(str(path), holder(path))
                time.sleep(_LOOK_SECONDS)
        patience.over()
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
