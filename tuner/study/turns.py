"""One worker at a time: several processes may run one study, and only one of them asks at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from sqlalchemy import Engine, text

_ADVISORY = {
    "postgresql": (
        "SELECT pg_advisory_lock(hashtext(:name))",
        "SELECT pg_advisory_unlock(hashtext(:name))",
    ),
    "mysql": ("SELECT GET_LOCK(sha1(:name), -1)", "SELECT RELEASE_LOCK(sha1(:name))"),
}
"""How a database gives a lock to one session and takes it back; it ends with the session."""


@contextmanager
def turn(study: Study) -> Iterator[None]:
    """Inside, no other process looks at the study's trials to decide what comes next."""
    with turn_in(study._storage, study.study_name):  # noqa: SLF001 -- Optuna has no public way to it
        yield


@contextmanager
def turn_in(storage: BaseStorage, name: str) -> Iterator[None]:
    """Inside, no other process is inside for the study `name` of this storage.

    The lock is that of a file beside a SQLite database, else one of the database server, so a
    process that is killed holds none. A storage of another kind belongs to one process.
    """
    engine = _engine(storage)
    if engine is None:
        yield
    elif engine.dialect.name in _ADVISORY:
        take, give = _ADVISORY[engine.dialect.name]
        with engine.connect() as connection:
            named = {"name": f"tune/{name}"}
            connection.execute(text(take), named)
            try:
                yield
            finally:
                connection.execute(text(give), named)
    elif engine.url.database:
        with locked(Path(f"{engine.url.database}.lock")):
            yield
    else:
        yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Inside, no other process or thread is inside for the same file, which stays there."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _engine(storage: BaseStorage) -> Engine | None:
    inner = getattr(storage, "_backend", storage)  # what a cache is for
    return inner.engine if isinstance(inner, RDBStorage) else None
