# ruff: noqa: T201 -- a program that prints what it finds
"""Kills runs of simulated studies at random moments, and resumes them; a program for tests.

    python -m tests.chaos.killing KILLS SEED

A study is run by one process, or by two at once. One of two kills is at a moment of the clock,
the other one within a stage that is drawn. Then the study is run again, until it is complete and
what must hold of it is looked at; then the next one begins. The processes are forked, so that none
has to import the package. One line of JSON is printed.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import optuna
from alembic.util import pyfiles

from tests.study.cutting import backend
from tests.study.forking import exit_code, forked
from tests.study.invariants import broken_invariants
from tests.study.small import opened, run, specification, url_of
from tuner.load.burst_progress import BurstProgress
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import Event

TRIALS = 6
SAMPLERS = ("random", "bayes", "nsga2")

STAGES = ("start", "calibrate", "Started", "deploy", "connect", "impair", "burst", "tear down",
          "Finished", "Failed")  # fmt: skip
"""What an observer is told; a process that was told nothing yet is at the first."""

LONGEST_SECONDS = 1.5
"""A kill by the clock comes within it."""


@dataclass
class Found:
    kills: int = 0
    studies: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Worker:
    """A process that runs the study. `stage` is what it told last."""

    pid: int
    stage: mmap.mmap

    def code(self) -> int:
        return exit_code(self.pid)

    def alive(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None


def started(spec: StudySpec, stage: str | None, turn: int) -> Worker:
    """A process that runs `spec`, and is killed when `stage` begins for the `turn`th time."""
    told = mmap.mmap(-1, 1)
    left = turn

    def observe(event: Event) -> None:
        nonlocal left
        name = event if isinstance(event, str) else type(event).__name__
        if isinstance(event, BurstProgress) or name not in STAGES:
            return
        told[0] = STAGES.index(name)
        if name == stage:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return Worker(forked(lambda: run(spec, backend=backend(spec), observe=observe)), told)


def killed(spec: StudySpec, rng: random.Random, found: Found) -> bool:
    """Run the study with one or two workers and kill one of them; whether all is done."""
    by_clock = rng.random() < 0.5
    stage = None if by_clock else rng.choice(STAGES[1:])
    workers = [started(spec, stage, rng.randint(1, 3))]
    if rng.random() < 0.25:
        workers.append(started(spec, None, 0))
    if by_clock:
        deadline = time.monotonic() + rng.uniform(0, LONGEST_SECONDS)
        while time.monotonic() < deadline and workers[0].alive():
            time.sleep(0.002)
        os.kill(workers[0].pid, signal.SIGKILL)
    codes = [worker.code() for worker in workers]
    for worker, code in zip(workers, codes, strict=True):
        if code == -signal.SIGKILL:
            found.kills += 1
            found.stages[STAGES[worker.stage[0]]] += 1
        elif code:
            found.broken.append("a worker ended with an error")
    return 0 in codes


def killing(kills: int, rng: random.Random) -> Found:
    place, found = Path.cwd(), Found()
    while found.kills < kills and not found.broken:
        directory = place / str(found.studies)
        directory.mkdir()
        os.chdir(directory)
        changes = ("trials: 8", f"trials: {TRIALS}"), ("tpe", rng.choice(SAMPLERS))
        # Not opened here: a child must not inherit a connection to what it works on.
        spec = specification(*changes)
        while found.kills < kills and not killed(spec, rng, found):
            pass
        # To its end, also what one of two workers completed before the other was killed.
        if Worker(forked(lambda: run(spec, backend=backend(spec))), mmap.mmap(-1, 1)).code():  # noqa: B023
            found.broken.append("a resumed run ended with an error")
        path = Path(url_of(spec).removeprefix("sqlite:///"))
        broken = broken_invariants(spec, opened(spec), results_directory(spec), path)
        found.broken += [f"study {found.studies}: {words}" for words in broken]
        found.studies += 1
    return found


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pyfiles.load_module_py = cache(pyfiles.load_module_py)  # type: ignore[assignment] # as tests/conftest.py
    kills, seed = map(int, sys.argv[1:])
    run(specification(("tpe", "bayes"), name="warm"))  # its children have all that it loaded
    print(json.dumps(vars(killing(kills, random.Random(seed)))))


if __name__ == "__main__":
    main()
