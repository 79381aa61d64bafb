"""How a study goes faster with more workers that share PostgreSQL, and for how long one waits for
another.

    python -m benchmarks.workers --workers 1 2 4 8 --trials 48 --seconds 2

Each worker is a process with trials of a computed host that take `--seconds`, as a burst would, and
need no CPU meanwhile. All are on this machine, so that their proposals share its CPUs: on hosts of
their own they would not. The lock is what they share anyhow: the table says how long each turn in
it took. The database is a server of its own, which is removed at the end (Debian: postgresql).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `tune` does

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import TrialState

from tests.study.postgresql import running, why_no_server
from tests.study.worlds import World
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployer
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.spec.study import StudySpec
from tuner.study import next as following
from tuner.study.locks import study_lock
from tuner.study.loop import Event, Finished, Started, goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 2, 4, 8, 16, 32], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 0.75, 1, 1.5, 2], default: 1}
  memory: {role: decision, type: int, choices: [64, 128, 256, 512], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 6, default: 1}
  loss: {role: scenario, type: float, choices: [0, 1, 5], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
budget: {trials: TRIALS}
search: {settled: 0}
seed: 3
"""


def worker(url: str, seconds: float) -> None:
    """Run the study, and print when its trials began and ended, and the seconds of each turn."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = load_study("shared", Host.this())
    turns: list[float] = []
    cpu: list[float] = []

    @contextmanager
    def timed(study: Study) -> Iterator[None]:
        with study_lock(study):
            began, used = time.perf_counter(), time.process_time()
            try:
                yield
            finally:
                turns.append(time.perf_counter() - began)
                cpu.append(time.process_time() - used)

    following.study_lock = timed
    times: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, Started | Finished):
            times.append(time.time())

    study = start_or_resume(spec, open_storage(url, create=True), "simulated")
    backend = simulated_backend(spec)
    backend = replace(backend, deployer=World(spec, lambda usual, _: Slow(usual, seconds)))
    run_study(spec, study, backend, results_directory(spec), goal(spec, study, None, 0), observe)
    print(json.dumps({"times": [times[0], times[-1]] if times else [], "turns": turns, "cpu": cpu}))


class Slow:
    """The deployer `usual`, whose deployments take their time."""

    def __init__(self, usual: Deployer, seconds: float) -> None:
        self._usual, self._seconds = usual, seconds

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the other one has
        return getattr(self._usual, name)

    @contextmanager
    def deploy(self, *arguments: Any) -> Iterator[Any]:  # noqa: ANN401 -- as the other's
        time.sleep(self._seconds)
        with self._usual.deploy(*arguments) as deployment:
            yield deployment


def measured(url: str, workers: int, seconds: float) -> dict[str, Any]:
    """What so many workers took in seconds, and what their turns did."""
    command = [sys.executable, "-m", "benchmarks.workers", "--one", url, "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as world:
        processes = [
            world.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            )
            for _ in range(workers)
        ]
        said = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    spans = [one["times"] for one in said if one["times"]]
    return {
        "seconds": max(end for _, end in spans) - min(begin for begin, _ in spans),
        "turns": [turn for one in said for turn in one["turns"]],
        "cpu": [used for one in said for used in one["cpu"]],
        "took part": len(spans),
    }


def row(spec: StudySpec, url: str, workers: int, seconds: float) -> dict[str, Any]:
    found = measured(url, workers, seconds)
    study = start_or_resume(spec, open_storage(url, create=True), "simulated")
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    asked = [t for t in complete if not {"baseline again", "confirms"} & t.user_attrs.keys()]
    found["complete"] = len(complete)
    found["twice"] = len(asked) - len({tuple(sorted(t.params.items())) for t in asked})
    return found


def spread(seconds: list[float]) -> str:
    """Median, 90th percentile and maximum in ms."""
    ms = 1000 * np.array(seconds)
    return f"{median(ms):.0f}, {np.quantile(ms, 0.9):.0f}, {ms.max():.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        worker(options.one, options.seconds)
        return
    if reason := why_no_server():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as place, running() as server:
        os.chdir(place)
        path = Path("studies/shared/study.yaml")
        path.parent.mkdir(parents=True)
        path.write_text(STUDY.replace("TRIALS", str(options.trials)))
        spec = load_study("shared", Host.this())
        print(
            "workers  took part  seconds  times one  complete  twice"
            "  a turn in ms: median, p90, max  CPU: median, p90, max"
        )
        first = None
        for workers in options.workers:
            url = server.create_database(f"workers{workers}")
            found = row(spec, url, workers, options.seconds)
            first = first or found["seconds"]
            print(
                f"{workers:7}  {found['took part']:9}  {found['seconds']:7.1f}"
                f"  {first / found['seconds']:9.2f}  {found['complete']:8}  {found['twice']:5}"
                f"  {spread(found['turns']):>30}  {spread(found['cpu']):>21}",
                flush=True,
            )


if __name__ == "__main__":
    main()
