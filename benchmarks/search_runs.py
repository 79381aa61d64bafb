"""All searches of a benchmark, in parallel processes: what each found, judged."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import optuna

from benchmarks import search_peers
from benchmarks.search_contenders import (
    CONTENDERS,
    Run,
    modelled,
    noise_of,
    observed,
    run,
)
from benchmarks.search_judge import (
    Marks,
    answers_from_model,
    answers_from_values,
    curve,
    levels_curve,
    marks,
)
from benchmarks.search_problems import problem
from benchmarks.search_replay import Truth, replayed
from benchmarks.search_truth import Problem
from tuner.model.initial_design import initial_design, initial_trials
from tuner.model.pareto import logarithms

PEERS_FILE = Path(search_peers.__file__)


@dataclass(frozen=True)
class Source:
    """Where a problem is from: one of `search_problems.SETTINGS`, or a recorded grid."""

    name: str
    path: Path | None = None
    truth: Truth = "mean"

    def problem(self) -> Problem:
        return _problem(self)


@cache
def _problem(source: Source) -> Problem:
    if source.path is None:
        return problem(source.name)
    return replayed(source.path, source.truth)


@dataclass(frozen=True)
class Task:
    """One search. `model_at` are numbers of trials after which `tune`'s model is judged."""

    source: Source
    contender: str
    seed: int
    trials: int
    model_at: tuple[int, ...]
    peers_python: str


@dataclass(frozen=True)
class Outcome:
    """What one search found after each trial, and what it recommends.

    `share` is that of the overall front's hypervolume, `levels` the least share of any loss level,
    `seconds` what the trials have cost: one figure per trial. `raw` judges what is recommended
    from the measured values of all trials, `model` what `tune`'s model recommends after so many.
    `proposal_ms` is the mean time of a proposal.
    """

    problem: str
    contender: str
    seed: int
    share: tuple[float, ...]
    levels: tuple[float, ...]
    seconds: tuple[float, ...]
    raw: Marks
    model: Mapping[int, Marks]
    infeasible: float
    repeats: float
    proposal_ms: float


def outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome | str]:
    """Of all tasks, as they finish; in place of one that broke, what happened."""
    with _pool(jobs) as pool:
        futures = {pool.submit(outcome, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                if (error := future.exception()) is None:
                    yield future.result()
                else:
                    yield f"{futures[future]}\n" + "".join(traceback.format_exception(error))
        finally:
            # After an interrupt the end would wait for all that were not begun.
            pool.shutdown(wait=False, cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # NumPy may have threads by now, which a fork would leave behind.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def to_line(outcome: Outcome) -> str:
    """One line of JSON."""
    return json.dumps(asdict(outcome))


def from_line(line: str) -> Outcome:
    """The inverse of `to_line`."""
    found = json.loads(line)
    curves = {name: tuple(found[name]) for name in ("share", "levels", "seconds")}
    model = {int(n): Marks(**m) for n, m in found["model"].items()}
    return Outcome(**{**found, **curves, "raw": Marks(**found["raw"]), "model": model})


def outcome(task: Task) -> Outcome:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    at = task.source.problem()
    found = searched(task, at)
    contender = CONTENDERS.get(task.contender)
    stay, workers = (contender.stay, contender.workers) if contender else (True, 1)
    rows = found.rows
    able = np.isfinite(found.values).all(axis=1)
    times = found.proposal_seconds[np.isfinite(found.proposal_seconds)]
    return Outcome(
        problem=task.source.name,
        contender=task.contender,
        seed=task.seed,
        share=tuple(curve(at, rows).tolist()),
        levels=tuple(levels_curve(at, rows).tolist()),
        seconds=tuple(at.seconds(rows, stay=stay, workers=workers).tolist()),
        raw=marks(at, answers_from_values(at, rows, found.values)),
        model={
            n: marks(at, answers_from_model(at, modelled(at, observed(at, found, n))))
            for n in task.model_at
            if n <= len(rows)
        },
        infeasible=float(1 - able.mean()),
        repeats=1 - len(set(rows.tolist())) / len(rows),
        proposal_ms=1000 * float(np.mean(times)) if len(times) else 0.0,
    )


def searched(task: Task, at: Problem) -> Run:
    if task.contender in search_peers.PEERS:
        return run_peer(task, at)
    return run(CONTENDERS[task.contender], at, task.seed, task.trials)


def smoothed_grid(source: Source, seed: int) -> Marks:
    """What `tune`'s model recommends that has seen the full grid, measured once in random order."""
    at = source.problem()
    rng = np.random.default_rng([seed, 1])
    rows = rng.permutation(len(at.truth))
    bursts = [at.measure(row, rng) for row in rows.tolist()]
    values, sd = np.full((2, len(rows), len(at.metrics)), np.nan)
    for i, burst in enumerate(bursts):
        if burst is not None:
            values[i], sd[i] = burst.values, burst.relative_sd
    run = Run(rows, values, sd, np.zeros(len(rows)))
    return marks(at, answers_from_model(at, modelled(at, observed(at, run))))


def smoothed_grids(sources: Sequence[Source], seeds: int, jobs: int) -> dict[str, list[Marks]]:
    """`smoothed_grid` of each source, by name, one per seed."""
    with _pool(jobs) as pool:
        futures = {
            source.name: [pool.submit(smoothed_grid, source, seed) for seed in range(seeds)]
            for source in sources
        }
        return {name: [f.result() for f in some] for name, some in futures.items()}


def run_peer(task: Task, at: Problem) -> Run:
    """A search by a peer outside Optuna (`search_peers`), which starts where the others do."""
    axes = [p.values() or () for p in at.space]
    assert at.lattice.size == np.prod([len(axis) for axis in axes])
    starts = initial_design(at.space, initial_trials(task.trials), task.seed)
    described = {
        "sizes": [len(axis) for axis in axes],
        "seed": task.seed,
        "trials": task.trials,
        "start": [
            [axis.index(c[p.name]) for p, axis in zip(at.space, axes, strict=True)] for c in starts
        ],
    }
    rng = noise_of(at, task.seed)
    rows = np.zeros(task.trials, dtype=np.intp)
    values, sd = np.full((2, task.trials, len(at.metrics)), np.nan)
    seconds = np.full(task.trials, np.nan)
    with subprocess.Popen(
        [task.peers_python, str(PEERS_FILE), task.contender],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        told = json.dumps(described)
        for number in range(task.trials):
            since = time.perf_counter()
            print(told, file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{task.contender} ended early: {process.stderr.read()[-2000:]}")
            if number >= len(starts):
                seconds[number] = time.perf_counter() - since
            positions = json.loads(line)
            asked = {p.name: axis[i] for p, axis, i in zip(at.space, axes, positions, strict=True)}
            row = at.lattice.index(asked)
            assert row is not None
            rows[number] = row
            told = "null"
            if (measured := at.measure(row, rng)) is not None:
                values[number], sd[number] = measured.values, measured.relative_sd
                told = json.dumps(logarithms(measured.values).tolist())
        process.stdin.close()
        process.kill()
    return Run(rows, values, sd, seconds)


def installed(peer: str, python: str = sys.executable) -> bool:
    """Whether that Python has the peer."""
    command = [python, str(PEERS_FILE), "--check", peer]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
