"""A study whose storage is a server of PostgreSQL, which is restarted meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.study.invariants import broken_invariants
from tests.study.postgresql import Server, why_no_server
from tests.study.small import FEASIBLE, specification
from tuner.backends.simulated import simulated_backend
from tuner.errors import SetupError
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study import database_server, patience
from tuner.study.loop import Event, Finished, Started, goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage, stored_record

pytestmark = pytest.mark.skipif(bool(why_no_server()), reason=why_no_server())


def study_of(name: str) -> StudySpec:
    return specification(FEASIBLE, ("trials: 8", "trials: 6"), ("tpe", "random"), name=name)


def run(spec: StudySpec, url: str, observe: Callable[[Event], None] = lambda _: None) -> list[str]:
    """Run it to its budget; what does not hold of it then."""
    storage = open_storage(url, create=True)
    study = start_or_resume(spec, storage, "simulated")
    results = results_directory(spec)
    run_study(spec, study, simulated_backend(spec), results, goal(spec, study, None, 0), observe)
    return broken_invariants(spec, study, results)


def restarting(server: Server, when: Callable[[Event], bool], mode: str) -> Callable[[Event], None]:
    def observe(happened: Event) -> None:
        if when(happened):
            server.stop(mode)
            server.start()

    return observe


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_between_and_within_trials_is_survived(server: Server, mode: str) -> None:
    def when(happened: Event) -> bool:
        number = happened.number if isinstance(happened, Started) else None
        ended = isinstance(happened, Finished) and happened.record.number == 3
        return number == 1 or ended or (number == 5 and happened == "burst")

    spec = study_of(f"restarted-{mode}")
    assert run(spec, server.url, restarting(server, when, mode)) == []


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("CREATE TABLE", 5),  # of the start
        ("SELECT pg_advisory_lock", 1),
        ("SELECT pg_advisory_unlock", 2),
        ("SELECT trial", 40),  # of a decision, and of what is done beside it
        ("INSERT", 0),
        ("INSERT", 60),
        ("UPDATE", 3),  # of the end of a trial
    ],
)
def test_a_restart_before_any_statement_is_survived(
    server: Server, statement: str, number: int
) -> None:
    name = f"within-{number}-{statement.rsplit(maxsplit=1)[-1].lower().replace('_', '-')}"
    url = server.create_database(name)
    left = iter(range(number, -1, -1))
    restarted: list[None] = []

    def execute(_connection: object, _cursor: object, text: str, *_: object) -> None:
        if text.strip().startswith(statement) and next(left, None) == 0:
            restarted.append(None)
            server.stop()
            threading.Timer(1.0, server.start).start()

    event.listen(Engine, "before_cursor_execute", execute)
    try:
        assert run(study_of(name), url) == []
    finally:
        event.remove(Engine, "before_cursor_execute", execute)
    assert restarted


def test_a_server_that_stays_away_ends_the_run_which_can_be_resumed(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_server, "AWAY_SECONDS", 1.0)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
    spec = study_of("away")

    def observe(happened: Event) -> None:
        if isinstance(happened, Started) and happened.number == 2:
            server.stop()

    try:
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(SetupError, match="server cannot be reached") as caught,
        ):
            run(spec, server.url, observe)
    finally:
        server.start()
    assert "goes on where it stopped" in caught.value.mend
    assert caplog.text.count("waiting for the database server") == 1
    assert run(spec, server.url) == []


def test_a_server_that_is_not_there_at_the_start_is_not_waited_for(tmp_path: Path) -> None:
    url = f"postgresql://u:secret@/postgres?host={tmp_path}"  # pragma: allowlist secret -- made up
    with pytest.raises(SetupError, match="server cannot be reached"):
        open_storage(url, create=True)


def test_a_database_that_is_not_there_is_told(server: Server) -> None:
    url = server.url_of("nothing")
    with pytest.raises(SetupError, match='"nothing" does not exist'):
        stored_record("x", open_storage(url, create=False))
