from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, specification, url_of
from tuner.search.make_sampler import OWNER
from tuner.study.grid import grid_order
from tuner.study.locks import file_lock, study_lock
from tuner.study.queue import REPEATS
from tuner.study.storage import records

WORKER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import optuna
from tuner.backends.simulated import simulated_backend
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.study.loop import Finished, Started, goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage

optuna.logging.set_verbosity(optuna.logging.WARNING)
url, passes, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
spec = load_study("small", Host.this())
if passes:
    spec = replace(spec, search=replace(spec.search, sampler="grid"))
study = start_or_resume(spec, open_storage(url, create=True), "simulated")

def observe(event):
    if isinstance(event, Started):
        print("started", event.number, flush=True)
        time.sleep(pause)

until = goal(spec, study, None, 0, passes)
run_study(spec, study, simulated_backend(spec), Path("results"), until, observe)
"""


@contextmanager
def worker(url: str, passes: int = 0, pause: float = 0.05) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the study and waits for `pause` seconds in each trial."""
    command = [sys.executable, "-c", WORKER, url, str(passes), str(pause)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def together(url: str, workers: int, passes: int = 0) -> None:
    """Run the study in so many processes at once."""
    with ExitStack() as world:
        processes = [world.enter_context(worker(url, passes)) for _ in range(workers)]
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * workers
    assert all("started" in output for output in outputs), "each has its share"


def owners(study: Study) -> Counter[str]:
    return Counter(t.user_attrs[OWNER] for t in study.get_trials())


def test_workers_share_a_study_and_complete_its_budget_exactly() -> None:
    spec = specification(("trials: 8", "trials: 20"), ("baseline_every: 0", "baseline_every: 4"))
    together(url_of(spec), 3)
    study = opened(spec)
    trials = study.get_trials()
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    assert len(trials) == len(records(study)) == 20
    first = [t for t in trials if not any(name in t.user_attrs for name in REPEATS)]
    configurations = [tuple(sorted(t.params.items())) for t in first]
    assert len(set(configurations)) == len(configurations) >= 15
    assert len(owners(study)) == 3
    repeats = len(trials) - len(first)
    assert 2 <= repeats <= 5


@pytest.mark.thorough
def test_workers_share_a_grid() -> None:
    spec = specification(FEASIBLE)
    together(url_of(spec), 2, passes=2)
    study = opened(spec)
    found = [(t.grid_pass, t.configuration) for t in records(study)]
    order = grid_order(spec.search_space, spec.seed, 2)
    assert Counter(found) == Counter((p.grid_pass, p.configuration) for p in order)
    assert len(owners(study)) == 2


@pytest.mark.thorough
def test_a_worker_that_is_killed_leaves_its_trial_to_the_others() -> None:
    spec = specification(("trials: 8", "trials: 10"))
    url = url_of(spec)
    with worker(url, pause=30) as doomed:
        assert doomed.stdout
        assert doomed.stdout.readline().startswith("started")
        with worker(url, pause=0.3) as other:
            assert other.stdout
            assert other.stdout.readline().startswith("started")
            os.kill(doomed.pid, signal.SIGKILL)
            doomed.wait()
            other.communicate(timeout=120)
    study = opened(spec)
    assert len(records(study)) == 10
    assert len({t.configuration for t in records(study)}) == 10
    assert {t.state for t in study.get_trials()} == {TrialState.COMPLETE, TrialState.FAIL}
    assert len(study.get_trials(states=(TrialState.FAIL,))) == 1


def test_a_turn_is_one_workers_at_a_time(tmp_path: Path) -> None:
    spec = specification()
    study = opened(spec)
    ready, done = tmp_path / "ready", tmp_path / "done"
    script = f"""
from pathlib import Path
from tuner.study.locks import file_lock
Path({str(ready)!r}).touch()
with file_lock(Path({url_of(spec).removeprefix("sqlite:///") + ".lock"!r})):
    Path({str(done)!r}).touch()
"""
    with ExitStack() as world:
        with study_lock(study):
            command = [sys.executable, "-c", script]
            process = world.enter_context(subprocess.Popen(command))
            while not ready.exists():
                time.sleep(0.01)
            time.sleep(0.2)
            assert not done.exists()
        assert process.wait(30) == 0
    assert done.exists()


def test_a_lock_is_free_once_its_block_raised(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), file_lock(tmp_path / "lock"):
        raise RuntimeError
    with file_lock(tmp_path / "lock"):
        pass
