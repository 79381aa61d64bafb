"""Who searches, and one search: asked, measured and told as a study does it, in memory."""

from __future__ import annotations

import importlib.util
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import Trial

from benchmarks.search_problems import problem as named
from benchmarks.search_truth import Measured, Problem
from tuner.arrays import Floats, Indices
from tuner.measure.measurement import Estimate, Measurement, Z
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.model.candidates import Candidates
from tuner.model.initial_design import bursts_each, initial_design, initial_trials
from tuner.model.observations import SERVES, Observation
from tuner.model.surrogate import Surrogate
from tuner.model.warm import Warm, warm_from
from tuner.search.distributions import configuration
from tuner.search.make_sampler import OWNER, make_sampler
from tuner.search.study_sampler import ask
from tuner.spec.space import Configuration
from tuner.spec.study import SamplerName, SearchSpec

WORST_UNSEEN = 1000.0
"""Stands for the worst of any metric while nothing was measured yet."""


@dataclass(frozen=True)
class Contender:
    """A sampler under a name of the table.

    `start`: whether its study begins with the project's own start configurations. `stay`: whether
    a deployment stays up where the next trial asks for the same one. `needs` is a package without
    which there is none.
    """

    name: str
    sampler: Callable[[Problem, int, int, str], BaseSampler]
    """Of a problem, a seed, the number of trials, and a worker's name."""
    start: bool = True
    each: int = 1
    """How many of the start configurations share a deployment."""
    workers: int = 1
    """So many measure at the same time, each with a deployment of its own."""
    stay: bool = True
    needs: str | None = None

    @property
    def missing(self) -> str | None:
        """The package that it lacks here."""
        absent = self.needs is not None and importlib.util.find_spec(self.needs) is None
        return self.needs if absent else None


@dataclass(frozen=True, eq=False)
class Run:
    """One search: row of each trial, values measured, standard errors, seconds per proposal.

    Shapes (n,), (n, m), (n, m), (n,); NaN where the configuration could not serve, and where the
    trial was queued and nobody had to propose it.
    """

    rows: Indices
    values: Floats
    relative_sd: Floats
    proposal_seconds: Floats


def ours(
    name: SamplerName,
    search: SearchSpec | None = None,
    warm: Callable[[Problem, int], Warm] | None = None,
) -> Callable[..., BaseSampler]:
    """A sampler of `tune`, by name; `warm` says what it begins with, of a problem and a seed."""

    def made(problem: Problem, seed: int, trials: int, worker: str) -> BaseSampler:
        return make_sampler(
            name,
            problem.space,
            seed,
            startup=initial_trials(trials),
            search=search,
            host_cpus=problem.host_cpus,
            warm=None if warm is None else warm(problem, seed),
            worker=worker,
        )

    return made


def other_study(problem: Problem, seed: int) -> Warm:
    """What 60 trials on T2 tell a study of another model, on another host and grid; T1 tells T2."""
    other = named("T1" if problem.name == "T2" else "T2")
    seen = observed(other, run(CONTENDERS["bayes, per-scenario"], other, seed, 60))
    return warm_from(modelled(other, seen))


def _bayes(target: str, *, stay: bool = True) -> Contender:
    search = SearchSpec(target=target, stay=stay)  # type: ignore[arg-type]
    name = f"bayes, {target}" + ("" if stay else ", moving")
    return Contender(name, ours("bayes", search), each=bursts_each(search), stay=stay)


_SCENARIOS = SearchSpec(target="per-scenario")


CONTENDERS = {
    c.name: c
    for c in (
        _bayes("overall"),
        _bayes("per-scenario"),
        _bayes("overall", stay=False),
        _bayes("per-scenario", stay=False),
        Contender("bayes, warm start", ours("bayes", _SCENARIOS, other_study), each=2),
        Contender("bayes, 4 workers", ours("bayes", _SCENARIOS), each=2, workers=4),
        Contender("gp", ours("gp"), needs="torch"),
        Contender("tpe", ours("tpe")),
        Contender("tpe of optuna", lambda _p, seed, _n, _w: TPESampler(seed=seed), start=False),
        Contender("nsga2", ours("nsga2")),
        Contender("qmc", ours("qmc")),
        Contender("random", ours("random")),
    )
}
"""By name. `tune`'s own see logarithms, order and constraints, and never repeat a configuration;
`tpe of optuna` is told the same of what cannot serve, and is otherwise as it comes."""


def noise_of(problem: Problem, seed: int) -> np.random.Generator:
    """What draws the noise of a run: the same for all contenders with that seed."""
    return np.random.default_rng([seed, zlib.crc32(problem.name.encode())])


def run(contender: Contender, problem: Problem, seed: int, trials: int) -> Run:
    """One search of so many trials (fewer where the space is exhausted)."""
    rng = noise_of(problem, seed)
    workers = [str(w) for w in range(contender.workers)]
    samplers = [contender.sampler(problem, seed, trials, worker) for worker in workers]
    study = new_study(problem)
    if contender.start:
        count = initial_trials(trials)
        for start in initial_design(problem.space, count, seed, each=contender.each):
            study.enqueue_trial(dict(start))
    queued = len(study.get_trials(deepcopy=False))
    n = min(trials, len(problem.truth))
    rows = np.zeros(n, dtype=np.intp)
    values, sd = np.full((2, n, len(problem.metrics)), np.nan)
    seconds = np.full(n, np.nan)
    up: list[Configuration | None] = [None] * len(workers)
    measuring: list[Trial] = []
    for number in range(n):
        worker = number % len(workers)
        study.sampler = samplers[worker]
        since = time.perf_counter()
        trial, at = ask(study, problem.space)
        if number >= queued:
            seconds[number] = time.perf_counter() - since
        trial.set_user_attr(OWNER, workers[worker])
        row = problem.lattice.index(at)
        assert row is not None
        rows[number] = row
        measuring.append(trial)
        while measuring and (len(measuring) == len(workers) or number == n - 1):
            ended = measuring.pop(0)
            at_row, mine = int(rows[ended.number]), ended.number % len(workers)
            measured = problem.measure(at_row, rng)
            deployed = problem.space.deployment_of(problem.configurations[at_row])
            stayed = contender.stay and deployed == up[mine]
            up[mine] = deployed
            tell(problem, study, ended, measured, values, costs(problem, at_row, stayed=stayed))
            if measured is not None:
                values[ended.number], sd[ended.number] = measured.values, measured.relative_sd
    return Run(rows, values, sd, seconds)


def new_study(problem: Problem, sampler: BaseSampler | None = None) -> Study:
    """An empty study in memory."""
    study = optuna.create_study(directions=list(problem.directions), sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(problem.metrics))
    return study


def costs(problem: Problem, row: int, *, stayed: bool) -> tuple[float, float]:
    """Seconds of deploying, 0 where the deployment stayed up, and of all the rest."""
    deploy, burst = (
        float(np.broadcast_to(s, len(problem.truth))[row])
        for s in (problem.deploy_seconds, problem.burst_seconds)
    )
    return (0.0 if stayed else deploy), burst


def tell(
    problem: Problem,
    study: Study,
    trial: Trial,
    measured: Measured | None,
    before: npt.ArrayLike,
    seconds: tuple[float, float],
) -> None:
    """As a study tells it: what cannot serve has a constraint broken, and finite stand-ins.

    `before`, shape (n, m), are the values measured so far, the worst of which are the stand-ins.
    """
    known = np.asarray(before, dtype=np.float64)
    known = known[np.isfinite(known).all(axis=1)]
    worst = known.max(axis=0) if len(known) else np.full(len(study.directions), WORST_UNSEEN)
    at = configuration(problem.space, trial.params)
    record = recorded(problem, trial.number, at, measured, worst, seconds)
    trial.set_user_attr(ATTRIBUTE, record.to_json())
    trial.set_constraint(SERVES, record.violations[SERVES])
    study.tell(trial, list(record.values))


def recorded(
    problem: Problem,
    number: int,
    at: Configuration,
    measured: Measured | None,
    worst: Floats,
    seconds: tuple[float, float],
) -> TrialRecord:
    """The record of a burst; `worst` are the stand-ins where it could not serve."""
    metrics = {}
    if measured is not None:
        half = Z * measured.relative_sd * measured.values
        ends = zip(measured.values - half, measured.values + half, strict=True)
        metrics = {
            name: Estimate(float(value), *(map(float, pair) if np.isfinite(pair).all() else ()))
            for name, value, pair in zip(problem.metrics, measured.values, ends, strict=True)
        }
    return TrialRecord(
        number=number,
        configuration=at,
        outcome="infeasible" if measured is None else "measured",
        values=tuple((worst if measured is None else measured.values).tolist()),
        violations={SERVES: 1.0 if measured is None else -1.0},
        phases={"deploy": seconds[0], "burst": seconds[1]},
        started="",
        measurement=None if measured is None else Measurement(metrics, (), 0, 0, 0.0, "", {}),
        deployment={"stayed": seconds[0] == 0},
        imputed=measured is None,
    )


def observed(problem: Problem, run: Run, trials: int | None = None) -> list[Observation]:
    """The first trials of a run, or all, as a model of the search space takes them."""
    return [
        Observation(
            number,
            problem.configurations[row],
            tuple(values.tolist()) if np.isfinite(values).all() else None,
            {SERVES: -1.0 if np.isfinite(values).all() else 1.0},
            tuple(sd.tolist()) if np.isfinite(sd).all() else (),
        )
        for number, (row, values, sd) in enumerate(
            zip(run.rows[:trials].tolist(), run.values, run.relative_sd, strict=False)
        )
    ]


def modelled(problem: Problem, seen: Sequence[Observation]) -> Surrogate:
    """`tune`'s model of the search space, fitted to these observations."""
    return Surrogate.fit(
        Candidates.of(problem.space),
        problem.metrics,
        problem.directions,
        seen,
        host_cpus=problem.host_cpus,
    )
