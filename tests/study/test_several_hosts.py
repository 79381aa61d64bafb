"""Several hosts share a study through PostgreSQL, and one of them dies, hangs or has another clock.

A host is a forked process with a host name of its own.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

from tests.study.forking import exit_code, forked
from tests.study.invariants import broken_invariants
from tests.study.postgresql import Server, why_no_server
from tests.study.small import FEASIBLE, specification
from tuner.backends.simulated import simulated_backend
from tuner.errors import InputError, SetupError
from tuner.search.distributions import distributions
from tuner.search.make_sampler import OWNER
from tuner.search.study_sampler import queue
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study import database_server, locks, patience, tell
from tuner.study.database_server import with_driver
from tuner.study.faults import connection_lost
from tuner.study.locks import lock_of, study_lock
from tuner.study.loop import Event, Finished, Started, goal, run_study
from tuner.study.queue import queue_again
from tuner.study.start import start_or_resume
from tuner.study.storage import AGAIN, LOST, REASON, open_storage
from tuner.study.tell import clear_dead

pytestmark = pytest.mark.skipif(bool(why_no_server()), reason=why_no_server())


def study_of(name: str, trials: int = 8) -> StudySpec:
    budget = ("trials: 8", f"trials: {trials}")
    return specification(FEASIBLE, budget, ("tpe", "random"), name=name)


def opened(spec: StudySpec, url: str) -> Study:
    return start_or_resume(spec, open_storage(url, create=True), "simulated")


def run(spec: StudySpec, url: str, observe: Callable[[Event], None] = lambda _: None) -> Study:
    """Run it as `tune run` does, to its budget."""
    study = opened(spec, url)
    until = goal(spec, study, None, 0)
    run_study(spec, study, simulated_backend(spec), results_directory(spec), until, observe)
    return study


def broken(spec: StudySpec, study: Study) -> list[str]:
    return broken_invariants(spec, study, results_directory(spec))


@dataclass(frozen=True)
class Host:
    """A process that runs a study, and stays in its first trial until it is told to go on."""

    pid: int
    go_on: Path

    def runs(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert exit_code(self.pid) == -signal.SIGKILL

    def ends_well(self) -> bool:
        self.go_on.touch()
        return exit_code(self.pid) == 0


@contextmanager
def host(name: str, spec: StudySpec, url: str) -> Iterator[Host]:
    """Another host, once it is in its first trial."""
    begun, go_on = Path(f"{name}.begun"), Path(f"{name}.goes-on")

    def measure() -> None:
        socket.gethostname = lambda: name
        logging.getLogger("tuner").addHandler(logging.FileHandler(f"{name}.log"))

        def wait(happened: Event) -> None:
            if isinstance(happened, Started) and not begun.exists():
                begun.touch()
                while not go_on.exists():
                    time.sleep(0.02)

        run(spec, url, wait)

    other = Host(forked(measure), go_on)
    try:
        while not begun.exists():
            assert other.runs()
            time.sleep(0.02)
        yield other
    finally:
        with suppress(ChildProcessError):  # it ended as it should
            if other.runs():
                os.kill(other.pid, signal.SIGKILL)
            exit_code(other.pid)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats every three seconds; what is waited for is said at once.

    A busy machine stalls for two. Whoever said nothing for twice the interval is taken for dead.
    """
    monkeypatch.setattr(database_server, "HEARTBEAT_SECONDS", 3)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)


def test_workers_that_open_an_empty_database_at_once_all_start(server: Server) -> None:
    spec = study_of("empty", 4)
    for turn in range(2):
        url = server.create_database(f"empty{turn}")
        read, write = os.pipe()

        def start(url: str = url, gun: int = read, other: int = write) -> None:
            os.close(other)
            os.read(gun, 1)
            opened(spec, url)

        workers = [forked(start) for _ in range(4)]
        os.close(read)
        os.close(write)
        assert [exit_code(worker) for worker in workers] == [0] * 4
    assert broken(spec, run(spec, url)) == []


@pytest.mark.usefixtures("quick")
def test_the_trial_of_a_host_that_died_is_measured_before_the_budget_counts_as_used_up(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    spec = study_of("died", 3)
    with host("doomed", spec, server.url) as doomed, caplog.at_level(logging.WARNING):

        def kill(happened: Event) -> None:
            if isinstance(happened, Finished) and happened.record.number == 2:
                doomed.kill()

        study = run(spec, server.url, kill)
    assert broken(spec, study) == []
    (lost,) = study.get_trials(states=(TrialState.FAIL,))
    assert lost.number == 0, "the baseline"
    (again,) = [t for t in study.get_trials() if t.user_attrs.get(AGAIN) == 0]
    assert again.params == lost.params
    assert "waiting to hear that trial 0 (doomed) is still measured, at most 6 s" in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_host_that_lives_is_heard_from_and_completes_the_budget_itself(server: Server) -> None:
    spec = study_of("lives", 4)
    with host("lively", spec, server.url) as lively:
        study = run(spec, server.url)
        states = Counter(t.state for t in study.get_trials(deepcopy=False))
        assert states == {TrialState.COMPLETE: 3, TrialState.RUNNING: 1}
        assert lively.ends_well()
    assert broken(spec, study) == []


@pytest.mark.usefixtures("quick")
def test_what_a_host_that_was_taken_for_dead_measured_does_not_count(
    server: Server,
) -> None:
    spec = study_of("hung")
    with host("hung", spec, server.url) as hung:
        os.kill(hung.pid, signal.SIGSTOP)
        study = run(spec, server.url)
        os.kill(hung.pid, signal.SIGCONT)
        assert hung.ends_well()
    trials = study.get_trials(deepcopy=False)
    failed = [(t.number, t.user_attrs.get(REASON)) for t in trials if t.state == TrialState.FAIL]
    assert failed == [(0, "its worker was not heard from")]
    assert sum(t.state == TrialState.COMPLETE for t in trials) == len(trials) - 1 == 8
    assert broken(spec, study) == []
    assert "trial 0 went to another worker" in Path("hung.log").read_text()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("minutes", [11, -11])
def test_clocks_that_differ_do_not_matter(
    server: Server, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Clock:
            set_to = datetime.now(tz) + timedelta(minutes=minutes)  # type: ignore[arg-type]
            return cls.combine(set_to.date(), set_to.time(), set_to.tzinfo)

    spec = study_of(f"clocks{minutes}", 4)
    with host("other", spec, server.url) as other:
        for module in ("tell", "next"):
            monkeypatch.setattr(f"tuner.study.{module}.datetime", Clock)
        study = run(spec, server.url)
        assert other.ends_well()
    assert broken(spec, study) == []


def running_elsewhere(spec: StudySpec, url: str, owner: str) -> Study:
    """A study with a trial that another process took, and was killed before its first heartbeat."""
    study = opened(spec, url)
    study.ask(distributions(spec.search_space)).set_user_attr(OWNER, owner)
    return study


@pytest.mark.usefixtures("quick")
def test_a_trial_without_a_heartbeat_counts_from_when_it_is_seen(server: Server) -> None:
    spec = study_of("silent")
    # This host's name, but it was booted at another time: it is another host.
    study = running_elsewhere(spec, server.url, f"{socket.gethostname()}/boot/1/1")
    assert clear_dead(spec, study) == []
    while not (cleared := clear_dead(spec, study)):
        time.sleep(0.1)
    assert cleared == [0]
    states = [t.state for t in study.get_trials()]
    assert states == [TrialState.FAIL, TrialState.WAITING]


@pytest.mark.usefixtures("quick")
def test_one_that_is_killed_while_it_takes_a_trial_away_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = study_of("cut")
    study = running_elsewhere(spec, server.url, "elsewhere/boot/1/1")

    def cut(*_: object) -> None:
        raise InterruptedError

    def until_cleared() -> None:
        while not clear_dead(spec, study):
            time.sleep(0.1)

    monkeypatch.setattr(tell, "queue_again", cut)
    with pytest.raises(InterruptedError):
        until_cleared()
    monkeypatch.setattr(tell, "queue_again", queue_again)
    assert [t.state for t in study.get_trials()] == [TrialState.FAIL]
    assert LOST in study.get_trials()[0].user_attrs
    for _ in range(2):
        clear_dead(spec, study)
    assert [t.state for t in study.get_trials()] == [TrialState.FAIL, TrialState.WAITING]


def end_sessions_with_locks(server: Server) -> None:
    engine = create_engine(with_driver(server.url))
    with engine.connect() as session:
        locked = "FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ended = session.execute(text(f"SELECT pg_terminate_backend(pid) {locked}"))
        assert ended.all() == [(True,)]
    engine.dispose()


def test_with_the_lock_all_that_it_protects_is_lost(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna.storages._rdb.storage.random.random", lambda: 0.0)  # its pauses
    spec = study_of("lock-lost")
    study = opened(spec, server.url)
    with pytest.raises(StorageInternalError) as caught, study_lock(study):  # noqa: PT012 -- both
        end_sessions_with_locks(server)
        queue(study, spec.search_space, spec.search_space.baseline())  # which Optuna tries again
    assert connection_lost(caught.value)
    assert opened(spec, server.url).get_trials() == []
    with study_lock(study):
        pass


def test_who_has_the_lock_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "TURN_SECONDS", 0.5)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
    spec = study_of("held")
    first, second = opened(spec, server.url), opened(spec, server.url)
    who = f"tune {socket.gethostname()} {os.getpid()}"
    with (
        study_lock(first),
        caplog.at_level(logging.WARNING),
        pytest.raises(SetupError, match=f"^study 'held' is locked by {who}, and was still"),
        study_lock(second),
    ):
        pass
    assert f"{who} has it" in caplog.text
    with study_lock(second):
        pass


def test_a_storage_without_a_lock_is_refused(tmp_path: Path) -> None:
    journal = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    with (
        pytest.raises(InputError, match="JournalStorage has no lock") as caught,
        lock_of(journal, "any"),
    ):
        pass
    assert "postgresql://" in caught.value.mend


@pytest.mark.parametrize("url", ["redis://:secret@h/0", "mysql+pymysql://u@h/d", "grpc://h:1"])
def test_a_database_that_was_never_tried_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="studies are in SQLite files or in PostgreSQL") as caught:
        open_storage(url, create=True)
    assert "secret" not in caught.value.message
