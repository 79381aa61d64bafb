"""How often a storage commits what was written to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_WRITES = ("INSERT", "UPDATE", "DELETE")


@contextmanager
def committed() -> Iterator[list[list[str]]]:
    """The transactions that end inside and wrote something: of each its writing statements.

    A session that only read ends with a commit too, which no storage has to keep.
    """
    transactions: list[list[str]] = []
    writes: list[str] = []

    def execute(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:  # noqa: ANN401
        if statement.startswith(_WRITES):
            writes.append(statement)

    def end(_connection: Any) -> None:  # noqa: ANN401 -- SQLAlchemy's own
        if writes:
            transactions.append(writes.copy())
        writes.clear()

    def undo(_connection: Any) -> None:  # noqa: ANN401 -- SQLAlchemy's own
        writes.clear()

    listeners = (("before_cursor_execute", execute), ("commit", end), ("rollback", undo))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield transactions
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
