"""A PostgreSQL server that two runs of a study share is away for a minute, or does not move."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.rows import Row
from tests.chaos.test_killed import STORED
from tests.chaos.test_many_at_once import LARGER
from tests.study.invariants import broken_invariants
from tests.study.postgresql import Server, running, why_no_server
from tests.study.small import specification
from tuner.spec.load import results_directory
from tuner.study.storage import open_storage, optuna_study

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(bool(why_no_server()), reason=why_no_server() or "there is one"),
]

AWAY_SECONDS = 60.0
PATIENCE_SECONDS = 600.0


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """As after a power failure."""
    server.stop()
    yield
    server.start()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """It holds its connections and says nothing, as behind a network that was cut."""
    first = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    pids = [first, *_children(first)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in listed.split()]


@pytest.mark.parametrize("fault", [stopped, frozen], ids=lambda fault: fault.__name__)
def test_a_database_that_is_away_costs_nothing(
    fault: Callable[[Server], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_row: Callable[[Row], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = specification(*LARGER)
    watched = Watched(mark=uuid.uuid4().hex, directory=tmp_path)
    log = tmp_path / "log"
    with running() as server:
        command = [
            *(sys.executable, "-m", "tuner", "run", "--study", spec.name),
            *("--backend", "simulated", "--storage", server.url),
        ]
        with log.open("wb") as output:
            workers = [
                subprocess.Popen(
                    command,
                    env={**os.environ, MARK: watched.mark or ""},
                    stdout=output,
                    stderr=output,
                )
                for _ in range(2)
            ]
        try:
            _until_measured(log, 5)
            with fault(server):  # type: ignore[attr-defined]
                time.sleep(AWAY_SECONDS)
            codes = [worker.wait(PATIENCE_SECONDS) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        study = optuna_study(spec.name, open_storage(server.url, create=False))
        broken = broken_invariants(spec, study, results_directory(spec))
        study._storage.remove_session()  # noqa: SLF001 -- the server stops for whoever is left
    said = log.read_text()
    left = sorted(watched.found())
    report_row(
        Row(
            f"PostgreSQL {fault.__name__} for {AWAY_SECONDS:.0f} s under two runs",
            1,
            f"{said.count('waiting for the database')} waits said, {said.count('Traceback')}"
            f" tracebacks; exit {', '.join(map(str, codes))}",
            "; ".join(broken) or STORED,
            words(left),
        )
    )
    assert codes == [0, 0], said
    assert "Traceback" not in said
    assert broken == []
    assert left == []


def _until_measured(log: Path, trials: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while log.read_text().count(" -> ") < trials:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
