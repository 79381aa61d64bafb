"""The engine is stopped, killed, restarted and frozen at random moments of a study's stages."""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.leftovers import Watched, words
from tests.chaos.private_engine import PrivateEngine
from tests.chaos.rows import Row
from tests.chaos.small_docker import NAME, Running, running, write_study
from tuner.measure.record import TrialRecord
from tuner.study.storage import finished_trials

pytestmark = [pytest.mark.chaos, pytest.mark.docker, pytest.mark.alone]

TIMES = 5
TRIALS = 10


def stop_and_start(engine: PrivateEngine) -> None:
    engine.stop()
    time.sleep(3)
    engine.start()


def kill_and_start(engine: PrivateEngine) -> None:
    engine.kill()
    time.sleep(1)
    engine.start()


def freeze_for(seconds: float) -> Callable[[PrivateEngine], None]:
    def freeze(engine: PrivateEngine) -> None:
        engine.freeze()
        time.sleep(seconds)
        engine.thaw()

    return freeze


@dataclass(frozen=True)
class Injected:
    """A fault, how often, and whether a run must notice it."""

    name: str
    inject: Callable[[PrivateEngine], None]
    times: int = TIMES
    noticed: bool = True


FAULTS = (
    Injected("engine stopped, started 3 s later", stop_and_start),
    Injected("engine killed (SIGKILL), started 1 s later", kill_and_start),
    Injected("engine restarted", PrivateEngine.restart),
    Injected("engine frozen (SIGSTOP) for 5 s", freeze_for(5), noticed=False),
    Injected("engine frozen (SIGSTOP) for 100 s", freeze_for(100), times=1),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_an_engine_that_comes_back_costs_no_trial_of_the_budget(
    fault: Injected,
    private_engine: PrivateEngine,
    tmp_path: Path,
    report_row: Callable[[Row], None],
) -> None:
    """At a random moment after each measured trial: while one is deployed, measured, removed."""
    private_engine.clean()
    write_study(tmp_path, TRIALS)
    chance = random.Random(fault.name)
    mark = uuid.uuid4().hex
    times = 0
    with private_engine.client() as client:
        watched = Watched(client, None, mark, tmp_path, private_engine)
        before = watched.found()
        with running(tmp_path, private_engine, mark, {}) as run:
            while times < fault.times and run.wait_for(times + 1):
                time.sleep(chance.uniform(0, 4))
                if run.process.poll() is not None:
                    break
                fault.inject(private_engine)
                times += 1
            code = run.process.wait(600)
        there = watched.left_since(before)
        of_docker = the_engines(there) if fault.inject is kill_and_start else []
        left = [found for found in there if found not in of_docker]
        cell = words(left) + (f"; of Docker itself: {len(of_docker)}" if of_docker else "")
        trials = stored(tmp_path)
        told, kept = seen(run, code), said_of(tmp_path, trials)
        report_row(Row(fault.name, times, told, kept, cell))
    assert code == 0, run.said()
    assert "Traceback" not in run.said()
    assert ("answers again" in run.said()) or not fault.noticed
    assert not left
    assert len({t.configuration for t in trials}) == len(trials) == TRIALS
    assert all(t.outcome == "measured" for t in trials), "no fault of the engine is a replica's"


def test_an_engine_that_stays_away_ends_the_run_which_goes_on_later(
    private_engine: PrivateEngine, tmp_path: Path, report_row: Callable[[Row], None]
) -> None:
    private_engine.clean()
    write_study(tmp_path, TRIALS // 2)
    mark = uuid.uuid4().hex
    with private_engine.client() as client:
        watched = Watched(client, None, mark, tmp_path, private_engine)
        before = watched.found()
        with running(tmp_path, private_engine, mark, {}) as run:
            assert run.wait_for(1), run.said()
            private_engine.stop()
            code = run.process.wait(600)
        said = run.said()
        private_engine.start()
        with running(tmp_path, private_engine, mark, {}) as again:
            assert again.process.wait(600) == 0, again.said()
        left = watched.left_since(before)
        trials = stored(tmp_path)
        row = seen(run, code)
        report_row(Row("engine stopped for good", 1, row, said_of(tmp_path, trials), words(left)))
    assert code == 2, said
    assert "Traceback" not in said
    assert "waiting up to 2 min" in said
    assert f"then `tune run --study {NAME}` goes on with" in said
    assert not left
    assert len({t.configuration for t in trials}) == len(trials) == TRIALS // 2


def the_engines(left: Sequence[str]) -> list[str]:
    """What an engine that is killed forgets: links of its containers; rules of networks whose
    bridge is gone; and, where no container is left, names of their namespaces.
    """
    bridges = {found.removeprefix("network interface ") for found in left}
    alive = any(found.startswith("container ") for found in left)
    return [
        found
        for found in left
        if found.startswith("network interface veth")
        or (found.startswith("iptables rule ") and bridges.isdisjoint(found.split()))
        or (found.startswith("network namespace ") and not alive)
    ]


def seen(run: Running, code: int) -> str:
    """What the user saw beside the trials, in a few words."""
    said = run.said()
    waits = said.count("waiting up to")
    failed = said.count("failed and says nothing")
    return f"{waits} waits said, {failed} trials said to have failed, exit {code}"


def stored(directory: Path) -> list[TrialRecord]:
    return list(finished_trials(NAME, f"sqlite:///{database(directory)}"))


def database(directory: Path) -> Path:
    (found,) = (directory / "studies" / NAME).rglob("*.db")
    return found


def said_of(directory: Path, trials: list[TrialRecord]) -> str:
    with sqlite3.connect(database(directory)) as connection:
        states = Counter(state for (state,) in connection.execute("SELECT state FROM trials"))
        whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    assert not states["RUNNING"]
    assert states["COMPLETE"] == len(trials)
    return f"{len(trials)} measured, {states['FAIL']} FAIL, 0 RUNNING, integrity {whole}"
