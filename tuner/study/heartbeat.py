"""Workers on other hosts: each says to the database that it still measures, or loses its trials.

A database server has Optuna's heartbeats (`trial_heartbeats`), which are times of its own clock.
Who shares a SQLite file is on one host, where the kernel knows which processes live.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb.models import TrialHeartbeatModel, TrialModel
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from tuner.deploy.ownership import Owner
from tuner.interrupts import interruptible
from tuner.search.study_sampler import OWNER
from tuner.study import patience
from tuner.study.database_server import ServerStorage, through_restarts
from tuner.study.locks import uncached

_LOOK_SECONDS = 1.0

_JOIN_SECONDS = 5.0
"""So long the end of a run waits for a heartbeat that is on its way."""

_Found = TypeVar("_Found")

_log = logging.getLogger(__name__)


def database_server_of(study: Study) -> ServerStorage | None:
    """The database server that has a study; None for a file, or a study in memory."""
    inner = uncached(study._storage)  # noqa: SLF001 -- Optuna has no public way to it
    return inner if isinstance(inner, ServerStorage) else None


def first_heartbeat(study: Study, trial_id: int) -> None:
    """Say that a trial is measured from now on."""
    if (server := database_server_of(study)) is not None:
        # As `record_heartbeat`, which looks first whether there is one.
        with _create_scoped_session(server.scoped_session) as session:
            session.add(TrialHeartbeatModel(trial_id=trial_id))


@contextmanager
def heartbeats(study: Study) -> Iterator[None]:
    """Inside, a thread says again and again that this process measures its RUNNING trials."""
    server = database_server_of(study)
    if server is None:
        yield
        return
    ended = threading.Event()
    study_id = study._study_id  # noqa: SLF001 -- as above
    thread = threading.Thread(target=_beat, args=(server, study_id, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)


def _beat(server: ServerStorage, study_id: int, ended: threading.Event) -> None:
    owner = str(Owner.this())
    while not ended.wait(server.heartbeat_seconds):
        try:
            running = server.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
            for trial in running:
                if trial.user_attrs.get(OWNER) == owner:
                    server.record_heartbeat(trial._trial_id)  # noqa: SLF001 -- Optuna's own key
        except (StorageInternalError, SQLAlchemyError) as error:
            # The main thread waits for the server, and says so.
            _log.info("tune: no heartbeat now: %s", error)
        except KeyError:
            return  # the study was deleted, which the main thread says


def heartbeat_ages(study: Study) -> Mapping[int, float]:
    """Seconds since each RUNNING trial's last heartbeat, by its id and the server's clock.

    Without those that have none, and empty where there are no heartbeats.
    """
    server = database_server_of(study)
    if server is None:
        return {}
    silence = func.extract("epoch", func.now() - TrialHeartbeatModel.heartbeat)
    asked = (
        select(TrialModel.trial_id, silence)
        .join(TrialHeartbeatModel, TrialHeartbeatModel.trial_id == TrialModel.trial_id)
        .where(TrialModel.study_id == study._study_id)  # noqa: SLF001 -- as above
        .where(TrialModel.state == TrialState.RUNNING)
    )
    with _create_scoped_session(server.scoped_session) as session:
        return {trial_id: float(seconds) for trial_id, seconds in session.execute(asked)}


def lost_trials(study: Study) -> set[int]:
    """The ids of RUNNING trials whose workers said nothing for two intervals. Within `study_lock`.

    None directly after the server was away itself, when nobody could say anything. A trial without
    a heartbeat was taken by a process that was killed before its first one; it counts from now on.
    """
    server = database_server_of(study)
    if server is None:
        return set()
    heard = heartbeat_ages(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial._trial_id not in heard:  # noqa: SLF001 -- as above
            server.record_heartbeat(trial._trial_id)  # noqa: SLF001
    if server.seconds_back < grace_seconds(server):
        return set()
    return {trial_id for trial_id, seconds in heard.items() if seconds > grace_seconds(server)}


def grace_seconds(server: ServerStorage) -> float:
    return 2.0 * server.heartbeat_seconds


def until_heard(
    study: Study, look: Callable[[], _Found | None], enough: Callable[[], bool]
) -> _Found | None:
    """What `look` finds to measure.

    Where it finds nothing, but not because there is `enough`, the trials that others measure count.
    Then it looks again until each of these ended, or its worker was heard from: that one measures
    it to its end. So a host that died leaves no trial behind, and no host waits for a living one
    for longer than a heartbeat takes.
    """
    began, said = time.monotonic(), False
    while True:
        found = look()
        if found is not None or enough():
            return found
        waited = time.monotonic() - began
        heard = through_restarts(partial(heartbeat_ages, study))
        mine = _own(study)  # those that run on other hosts of this process, which hears of them
        silent = {i for i, seconds in heard.items() if seconds >= waited and i not in mine}
        if not silent:
            return None
        if waited >= patience.SILENT_SECONDS and not said:
            said = True
            _say(study, silent)
        with interruptible():
            time.sleep(_LOOK_SECONDS)


def _own(study: Study) -> set[int]:
    owner = str(Owner.this())
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return {t._trial_id for t in running if t.user_attrs.get(OWNER) == owner}  # noqa: SLF001


def _say(study: Study, silent: set[int]) -> None:
    server = database_server_of(study)
    assert server is not None
    of = {t._trial_id: t for t in study.get_trials(deepcopy=False)}  # noqa: SLF001 -- as above
    trials = sorted((of[i] for i in silent if i in of), key=lambda t: t.number)
    owners = [Owner.parse(str(t.user_attrs.get(OWNER, ""))) for t in trials]
    who = ", ".join(
        f"trial {trial.number} ({owner.host if owner else 'unknown host'})"
        for trial, owner in zip(trials, owners, strict=True)
    )
    _log.warning(
        "tune: waiting to hear that %s is still measured, at most %.0f s; else it is measured here",
        who,
        grace_seconds(server),
    )
