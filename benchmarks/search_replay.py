"""A recorded grid (`tune export --format replay`) as a search problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np

from benchmarks.search_truth import Measured, Problem
from tuner.arrays import Floats
from tuner.backends.replay_file import read_table
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.measure.measurement import Estimate, Z
from tuner.model.candidates import Candidates
from tuner.model.lattice import Lattice
from tuner.model.observations import Observation
from tuner.model.surrogate import Surrogate

Truth = Literal["mean", "smoothed"]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Measuring again takes one of a configuration's recorded bursts, each equally likely."""

    bursts: Mapping[int, Sequence[Measured | None]]

    def __call__(self, index: int, rng: np.random.Generator) -> Measured | None:
        there = self.bursts[index]
        return there[int(rng.integers(len(there)))]


def replayed(path: Path, truth: Truth = "mean") -> Problem:
    """The problem that the table at `path` holds, named after its study.

    `truth` is the geometric mean over the passes, or what `tune`'s model says when it has seen
    them all, which takes most of the noise away and may take away more. Measurements are among
    what the truth is made of: with few passes a search looks better than it is, and so does one
    pass through the grid. A configuration is infeasible that was so in at least half its trials.

    Raises InputError where the table cannot be read, has an objective to maximise, or lacks a
    configuration of its search space.
    """
    table = read_table(path)
    if any(o.direction != "minimize" for o in table.objectives):
        raise InputError(f"{path}: an objective is maximised", "record a study that minimises all")
    metrics = tuple(o.metric for o in table.objectives)
    lattice = Lattice(table.search_space)
    groups = {lattice.index(c): group for c, group in table.by_configuration.items()}
    absent = [lattice.configuration(i) for i in range(lattice.size) if i not in groups]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of {lattice.size} configurations were not recorded, "
            f"such as {absent[0]}",
            "finish the grid with `tune run --sampler grid` and export it again",
        )
    rows = {i: groups[i] for i in range(lattice.size)}
    bursts = {i: [_measured(t, metrics) for t in group] for i, group in rows.items()}
    means = np.array([_mean(bursts[i], len(metrics)) for i in rows])
    configurations = [lattice.configuration(i) for i in rows]
    problem = Problem(
        name=table.study,
        space=table.search_space,
        metrics=metrics,
        host_cpus=float(table.environment["host"]["cpus"]),
        truth=means,
        measure=Recorded(bursts),
        deploy_seconds=np.array([table.deployment_seconds(c) for c in configurations]),
        burst_seconds=np.array([fmean(t.burst_seconds for t in group) for group in rows.values()]),
        independent=False,
    )
    return problem if truth == "mean" else replace(problem, truth=_smoothed(problem, table))


def _measured(trial: RecordedTrial, metrics: Sequence[str]) -> Measured | None:
    if trial.outcome == "infeasible":
        return None
    found = [trial.metrics[metric] for metric in metrics]
    return Measured(np.array([e.value for e in found]), np.array([_relative_sd(e) for e in found]))


def _relative_sd(estimate: Estimate) -> float:
    """From the 95 % interval; NaN where there is none."""
    if estimate.low is None or estimate.high is None or not estimate.value:
        return float("nan")
    return (estimate.high - estimate.low) / (2 * Z * abs(estimate.value))


def _mean(bursts: Sequence[Measured | None], width: int) -> Floats:
    known = [np.log(b.values) for b in bursts if b is not None]
    if 2 * len(known) <= len(bursts):
        return np.full(width, np.nan)
    mean: Floats = np.exp(np.mean(known, axis=0))
    return mean


def _smoothed(problem: Problem, table: ReplayTable) -> Floats:
    """What the model says of the configurations that are feasible, all passes seen."""
    trials = [t for t in sorted(table.trials, key=lambda t: t.number) if not t.cut_short]
    seen = []
    for number, trial in enumerate(trials):
        measured = _measured(trial, problem.metrics)
        if measured is None:
            seen.append(Observation(number, trial.configuration, None))
            continue
        values = tuple(measured.values.tolist())
        sd = tuple(None if np.isnan(s) else s for s in measured.relative_sd.tolist())
        seen.append(Observation(number, trial.configuration, values, {}, sd))
    surrogate = Surrogate.fit(
        Candidates.of(problem.space),
        problem.metrics,
        problem.directions,
        seen,
        host_cpus=problem.host_cpus,
    )
    mean = np.exp(surrogate.posterior().mean)
    return np.where(problem.feasible[:, None], mean, np.nan)
