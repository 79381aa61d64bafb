"""A study's database on a PostgreSQL server, which may be restarted while a study runs."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Container, Mapping
from contextlib import nullcontext
from copy import copy
from functools import partial
from typing import Any, TypeVar

from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tuner.interrupts import interruptible
from tuner.study.faults import connection_lost, reason_of, whole_trials
from tuner.study.locks import server_lock
from tuner.study.patience import Patience
from tuner.study.storage_url import without_password

AWAY_SECONDS = 120.0
"""So long a server is waited for that answered before, and does not now."""

HEARTBEAT_SECONDS = 30
"""So often a worker says that it still measures its trials. One that said nothing for twice that
time has lost them to others."""

_AGAIN_SECONDS = 0.5

_ATTEMPTS = 3
"""So often what broke off with the connection is done again."""

_STARTS_OR_STOPS = "the database system is "
"""What PostgreSQL says of itself while it starts, recovers or stops."""

_NOTICE: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Settings of PostgreSQL's client library, by which a server without a network is noticed in half a
minute and not in a quarter of an hour."""

_SESSION = """
SET TIME ZONE 'UTC';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET application_name = '{name}'
"""
"""Heartbeats are compared whatever PGTZ is. The server notices a host that was switched off as
soon, and then it keeps no lock. Whoever waits for a lock is told the name of who has it."""

_Result = TypeVar("_Result")


class ServerStorage(RDBStorage):
    """Optuna's storage in a PostgreSQL database.

    A server that does not answer is an error at first. Once it did, each connection that it closed
    is opened anew, and a server that is away is waited for. Workers that find an empty database at
    once make its tables one after the other. Heartbeats of trials are times of the server's clock.
    """

    def __init__(self, url: str) -> None:
        named = with_driver(url)
        self._name = without_password(url)
        self._patience = Patience(f"the database server of {self._name}", AWAY_SECONDS)
        self._answered = False
        self._returned: float | None = None
        self._writes = 0
        self._seen: tuple[object, list[FrozenTrial]] | None = None
        self._dialect = (engine := create_engine(named)).dialect
        self._arguments, settings = self._dialect.create_connect_args(engine.url)
        notice = _NOTICE if self._dialect.driver in {"psycopg", "psycopg2"} else {}
        self._settings = {**notice, **settings}
        own: dict[str, Any] = {"creator": self._connected, "pool_pre_ping": True}
        first = create_engine(named, **own)

        def make_tables() -> None:
            with nullcontext() if _has_tables(first) else server_lock(first, "tables"):
                super(ServerStorage, self).__init__(named, engine_kwargs=own)

        try:
            through_restarts(make_tables)
        finally:
            first.dispose()
        event.listen(self.engine, "before_cursor_execute", self._count_writes)
        # Not Optuna's own name: it warns whoever asks for trials without `Study.optimize`.
        self.heartbeat_seconds = HEARTBEAT_SECONDS

    @property
    def seconds_back(self) -> float:
        """Seconds since the server answered again after it was away; infinite where it never was.

        Others may have had no chance to say anything until then.
        """
        return float("inf") if self._returned is None else time.monotonic() - self._returned

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """In its turn (`lock_of`) a worker looks at all trials a dozen times. They are read again
        after it has written; what others tell meanwhile it sees then, or in its next turn.
        """
        turn = self.scoped_session().bind
        if not isinstance(turn, Connection):
            return self._read(study_id, states, included_trial_ids, trial_id_greater_than)
        ids = frozenset(included_trial_ids)
        asked = (turn, self._writes, study_id, states, ids, trial_id_greater_than)
        if self._seen is None or self._seen[0] != asked:
            trials = self._read(study_id, states, set(ids), trial_id_greater_than)
            self._seen = asked, trials
        return self._seen[1]

    def _read(
        self, study_id: int, states: Container[TrialState] | None, ids: set[int], after: int
    ) -> list[FrozenTrial]:
        return whole_trials(partial(super()._get_trials, study_id, states, ids, after), self._name)

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> TrialModel:
        """As Optuna's, which asks the server several times for each parameter and attribute of a
        trial that has none yet. Meanwhile all other workers wait for their turn.
        """
        if template_trial is None:
            return super()._get_prepared_new_trial(study_id, None, session)
        bare = copy(template_trial)
        bare.params, bare.distributions, bare.user_attrs, bare.system_attrs = {}, {}, {}, {}
        trial = super()._get_prepared_new_trial(study_id, bare, session)
        for name, distribution in template_trial.distributions.items():
            session.add(
                TrialParamModel(
                    trial_id=trial.trial_id,
                    param_name=name,
                    param_value=distribution.to_internal_repr(template_trial.params[name]),
                    distribution_json=distribution_to_json(distribution),
                )
            )
        for table, attributes in (
            (TrialUserAttributeModel, template_trial.user_attrs),
            (TrialSystemAttributeModel, template_trial.system_attrs),
        ):
            for key, value in attributes.items():
                session.add(table(trial_id=trial.trial_id, key=key, value_json=json.dumps(value)))
        return trial

    def _count_writes(
        self, _connection: object, _cursor: object, statement: str, *_: object
    ) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self._writes += 1

    def _connected(self) -> Any:  # noqa: ANN401 -- the driver's
        while True:
            try:
                connection = self._dialect.connect(*self._arguments, **self._settings)
                break
            except self._dialect.loaded_dbapi.OperationalError as error:
                waits = self._answered or _STARTS_OR_STOPS in str(error)
                if not (waits and self._patience.more(partial(reason_of, error))):
                    raise
                self._pause()
        if self._patience.over():
            self._returned = time.monotonic()
        self._answered = True
        name = f"tune {socket.gethostname()} {os.getpid()}".replace("'", "")
        cursor = connection.cursor()
        cursor.execute(_SESSION.format(name=name))
        cursor.close()
        connection.commit()
        return connection

    def _pause(self) -> None:
        try:
            with interruptible():
                time.sleep(_AGAIN_SECONDS)
        except KeyboardInterrupt:
            self._patience.give_up()  # what is cleaned up does not wait either
            raise


def _has_tables(engine: Engine) -> bool:
    """Whether Optuna made all its tables: what it does last is to note their version."""
    with engine.connect() as session:
        if not session.dialect.has_table(session, "alembic_version"):
            return False
        return session.execute(text("SELECT version_num FROM alembic_version")).first() is not None


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
