"""A study's database on a server, which may be restarted while a study runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from tuner.interrupts import interruptible
from tuner.study.faults import connection_lost, reason_of
from tuner.study.patience import Patience
from tuner.study.storage_url import without_password

AWAY_SECONDS = 120.0
"""So long a server is waited for that answered before, and does not now."""

_AGAIN_SECONDS = 0.5

_ATTEMPTS = 3
"""So often what broke off with the connection is done again."""

_Result = TypeVar("_Result")


def server_storage(url: str) -> RDBStorage | str:
    """The storage on a database server.

    A server that does not answer is an error at first. Once it did, each connection that it closed
    is opened anew, and a server that is away is waited for.
    """
    named = with_driver(url)
    if "://" not in named or named.startswith("sqlite"):
        return named  # in memory, or nothing that Optuna knows
    storage = RDBStorage(named, engine_kwargs={"pool_pre_ping": True})
    shown = without_password(url)
    patience = Patience(f"the database server of {shown}", AWAY_SECONDS)

    def connect(dialect: Dialect, _record: object, arguments: Any, named: Any) -> Any:  # noqa: ANN401 -- SQLAlchemy's
        while True:
            try:
                connection = dialect.connect(*arguments, **named)
            except dialect.loaded_dbapi.OperationalError as error:
                if not patience.more(partial(reason_of, error)):
                    raise
                _pause(patience)
            else:
                patience.over()
                return connection

    event.listen(storage.engine, "do_connect", connect)
    return storage


def _pause(patience: Patience) -> None:
    try:
        with interruptible():
            time.sleep(_AGAIN_SECONDS)
    except KeyboardInterrupt:
        patience.give_up()  # what is cleaned up does not wait either
        raise


def through_restarts(
    action: Callable[[], _Result], before_again: Callable[[], object] = lambda: None
) -> _Result:
    """The action; where it broke off because the server went away, once more after `before_again`.

    For what may be done twice. SQLite is a file, and takes no part in this.
    """
    for attempt in range(_ATTEMPTS):
        try:
            if attempt:
                before_again()
            return action()
        except (StorageInternalError, SQLAlchemyError) as error:
            if attempt == _ATTEMPTS - 1 or not connection_lost(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def with_driver(url: str) -> str:
    """The URL with the driver of `tune-serving[postgresql]`, where it names PostgreSQL only.

    Which one is meant then differs between versions of SQLAlchemy.
    """
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg2{separator}{rest}" if scheme == "postgresql" else url
