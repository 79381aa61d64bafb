"""How many trials until 95 % of the hypervolume: the default sampler beside Optuna's own.

Three workloads on a simulated host, a grid of 2,880 configurations each, whose true values are
known (`SimulatedHost.expected`). Samplers are told noisy values; what they have found is judged by
the true ones, on logarithmic axes, against the front of the whole grid. Infeasible configurations
are told to all of them in the same way: with a constraint and finite stand-ins. The others get the
ordered choices as integers too, so that the comparison is not won by the encoding.

    python benchmarks/search_default.py [--seeds 20] [--trials 250]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from tuner.deploy.simulated_host import SimulatedHost, Workload
from tuner.search.distributions import configuration, distributions, from_view, viewed
from tuner.search.pareto import hypervolume, logarithms, non_dominated
from tuner.search.samplers import make_sampler
from tuner.search.seeds import start_configurations, start_count
from tuner.spec.host import Host
from tuner.spec.space import Configuration, Parameter, SearchSpace

SHARE = 0.95
NOISE = np.array([0.08, 0.03])
"""Standard deviations of the logarithms of the ART and CPU usage that are told."""

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 2, 4, 8, 16, 32)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 512, choices=(128, 256, 512, 1024)),
        Parameter("replicas", "int", "decision", 2, choices=(1, 2, 3, 4, 6, 8)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 0.5, 1.0, 2.0, 5.0)),
    )
)
WORKLOADS = {
    "small": Workload(),
    "medium": Workload(service_ms=8.0, network_ms=0.5, base_mib=180.0, request_mib=12.0),
    "large": Workload(service_ms=60.0, network_ms=1.0, base_mib=420.0, request_mib=20.0),
}


class Problem:
    """The true values of every configuration, and what share of the hypervolume some have."""

    def __init__(self, workload: Workload) -> None:
        host = SimulatedHost(Host(cpus=4, memory_mib=16384), workload)
        self.truth = {c: host.expected(c) for c in SPACE.grid()}
        self._logs = {c: logarithms(t) for c, t in self.truth.items() if t is not None}
        everything = np.array(list(self._logs.values()))
        self._reference = everything.max(axis=0) + 1e-9
        self._whole = hypervolume(everything, self._reference)
        self.feasible = len(everything) / len(self.truth)
        self.front = int(non_dominated(everything).sum())

    def logs(self, at: Configuration) -> npt.NDArray[np.float64] | None:
        return self._logs.get(at)

    def share(self, found: npt.NDArray[np.float64]) -> float:
        return hypervolume(found, self._reference) / self._whole


@dataclass(frozen=True)
class Contender:
    """A sampler, the distributions it is given, and whether the study starts with our seeds."""

    name: str
    sampler: Callable[[int], BaseSampler]
    ours: bool = False

    def space(self) -> dict[str, BaseDistribution]:
        return distributions(SPACE) if self.ours else {p.name: viewed(p) for p in SPACE}

    def configuration(self, params: Mapping[str, int]) -> Configuration:
        if self.ours:
            return configuration(SPACE, params)
        return Configuration.of({p.name: from_view(p, params[p.name]) for p in SPACE})


CONTENDERS = (
    Contender("random", lambda seed: RandomSampler(seed=seed)),
    Contender("NSGA-II, population 20", lambda s: NSGAIISampler(population_size=20, seed=s)),
    Contender("TPE as it comes", lambda seed: TPESampler(seed=seed)),
    Contender("TPE multivariate", lambda seed: TPESampler(multivariate=True, seed=seed)),
    Contender(
        "tune's default", lambda s: make_sampler("tpe", SPACE, s, startup=start_count(None)), True
    ),
)


@dataclass(frozen=True)
class Run:
    """Trials until the share was reached (None: never), and what a proposal took."""

    trials: int | None
    infeasible: float
    repeats: float
    seconds: float


def run(contender: Contender, problem: Problem, seed: int, most: int) -> Run:
    rng = np.random.default_rng([seed, 99])
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=contender.sampler(seed)
    )
    if contender.ours:
        for at in start_configurations(SPACE, start_count(None), seed):
            study.enqueue_trial(dict(at))
    space = contender.space()
    asked: list[Configuration] = []
    found = np.empty((0, 2))
    worst = np.array([1000.0, 100.0])
    infeasible, seconds, reached = 0, 0.0, None
    for number in range(1, most + 1):
        since = time.perf_counter()
        trial = study.ask(space)
        seconds += time.perf_counter() - since
        at = contender.configuration(trial.params)
        asked.append(at)
        logs = problem.logs(at)
        trial.set_constraint("out of memory", 1.0 if logs is None else -1.0)
        if logs is None:
            infeasible += 1
            study.tell(trial, worst.tolist())
            continue
        told = np.exp(logs + rng.normal(0, NOISE))
        study.tell(trial, told.tolist())
        found = np.vstack([found, logs])
        if problem.share(found) >= SHARE:
            reached = number
            break
    repeats = 1 - len(set(asked)) / len(asked)
    return Run(reached, infeasible / len(asked), repeats, seconds / len(asked))


def median(runs: list[Run], most: int) -> str:
    """Median of the trials, or that it lies beyond the most that were tried."""
    middle = statistics.median(most * 10 if r.trials is None else r.trials for r in runs)
    return f">{most}" if middle > most else f"{middle:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=250, help="most trials per run")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    problems = {name: Problem(workload) for name, workload in WORKLOADS.items()}
    for name, problem in problems.items():
        print(
            f"{name}: {len(problem.truth):,} configurations, {problem.feasible:.0%} feasible, "
            f"{problem.front} on the front"
        )
    print(f"\nmedian trials to {SHARE:.0%} of the hypervolume, {options.seeds} seeds")
    heads = "".join(f"{name:>9}" for name in problems)
    print(f"{'sampler':24}{heads}{'infeasible':>12}{'repeats':>9}{'ms/proposal':>13}")
    for contender in CONTENDERS:
        runs = {
            name: [run(contender, problem, seed, options.trials) for seed in range(options.seeds)]
            for name, problem in problems.items()
        }
        every = [r for of_problem in runs.values() for r in of_problem]
        cells = "".join(f"{median(r, options.trials):>9}" for r in runs.values())
        print(
            f"{contender.name:24}{cells}"
            f"{statistics.mean(r.infeasible for r in every):>12.0%}"
            f"{statistics.mean(r.repeats for r in every):>9.0%}"
            f"{1000 * statistics.mean(r.seconds for r in every):>13.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
