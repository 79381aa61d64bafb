"""Peers outside Optuna, each in a process of its own: it asks on stdout and is told on stdin.

    PYTHON benchmarks/search_peers.py --check NAME     exit code 3 where the peer is not installed

`search.py` starts it with the Python of an environment that has the peers, which needs nothing of
`tune`. First comes one JSON line that describes the problem: `sizes` (values of each parameter),
`seed`, `trials`, and `start` (positions of the first points). Then a line of positions goes out for
each trial, and a line comes in with the logarithms of its objectives, or `null` where it is
infeasible. The process ends when stdin does.
"""

# ruff: noqa: PLC0415 -- a peer is imported where it is run: the others need not be installed
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Point = Sequence[int]
Told = list[float] | None

WORST_UNSEEN = 7.0
"""Logarithm that stands for the worst of an objective while nothing was measured."""


@dataclass(frozen=True)
class Search:
    """The problem, and `evaluate`, which measures one point."""

    sizes: tuple[int, ...]
    seed: int
    trials: int
    start: tuple[Point, ...]
    evaluate: Callable[[Point], Told]


def pymoo(search: Search) -> None:
    """NSGA-II of pymoo: population 20, integer positions, infeasibility as a constraint."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.problems.static import StaticProblem

    population, rng = 20, np.random.default_rng(search.seed)
    missing = max(0, population - len(search.start))
    random = rng.integers(0, search.sizes, size=(missing, len(search.sizes)))
    problem = Problem(
        n_var=len(search.sizes),
        n_obj=2,
        n_ieq_constr=1,
        xl=0,
        xu=np.array(search.sizes) - 1,
        vtype=int,
    )
    algorithm = NSGA2(
        pop_size=population,
        sampling=np.array([*search.start, *random]),
        crossover=SBX(vtype=float, repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
    )
    algorithm.setup(problem, termination=NoTermination(), seed=search.seed, verbose=False)
    known: list[list[float]] = []
    while True:
        asked = algorithm.ask()
        told, broken = [], []
        for point in asked.get("X"):
            values = search.evaluate([int(v) for v in point])
            known += [values] if values else []
            told.append(values or _worst(known))
            broken.append([-1.0 if values else 1.0])
        found = StaticProblem(problem, F=np.array(told), G=np.array(broken))
        Evaluator().eval(found, asked)
        algorithm.tell(infills=asked)


def botorch(search: Search) -> None:
    """BoTorch's qLogNEHVI over all points not yet measured; the infeasible told as the worst."""
    import torch
    from botorch.acquisition.multi_objective.logei import (
        qLogNoisyExpectedHypervolumeImprovement,
    )
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    torch.set_num_threads(1)
    torch.manual_seed(search.seed)
    grid = list(itertools.product(*(range(size) for size in search.sizes)))
    spans = np.maximum(np.array(search.sizes) - 1, 1)
    every = torch.tensor(np.array(grid) / spans)
    number = {point: i for i, point in enumerate(grid)}
    rows: list[int] = []
    told: list[Told] = []

    def measure(row: int) -> None:
        rows.append(row)
        told.append(search.evaluate(grid[row]))

    for point in search.start:
        measure(number[tuple(point)])
    while True:
        known = [values for values in told if values]
        y = -torch.tensor([values or _worst(known) for values in told], dtype=torch.double)
        x = every[rows]
        model = ModelListGP(*(SingleTaskGP(x, y[:, [j]]) for j in range(y.shape[1])))
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        gain = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=(y.min(dim=0).values - 0.01).tolist(),
            X_baseline=x,
            prune_baseline=True,
            sampler=SobolQMCNormalSampler(torch.Size([64]), seed=search.seed),
        )
        free = np.setdiff1d(np.arange(len(grid)), rows)
        with torch.no_grad():
            gains = torch.cat([gain(part.unsqueeze(1)) for part in every[free].split(256)])
        measure(int(free[int(gains.argmax())]))


def smac(search: Search) -> None:
    """SMAC with a Gaussian process and ParEGO; the infeasible told as the worst."""
    with tempfile.TemporaryDirectory() as scratch:
        _smac(search, Path(scratch))


def _smac(search: Search, scratch: Path) -> None:
    from ConfigSpace import Configuration, ConfigurationSpace, Integer
    from smac import BlackBoxFacade, Scenario
    from smac.multi_objective.parego import ParEGO
    from smac.runhistory.dataclasses import TrialInfo, TrialValue

    names = [f"p{i}" for i in range(len(search.sizes))]
    space = ConfigurationSpace(seed=search.seed)
    space.add([Integer(n, (0, size - 1)) for n, size in zip(names, search.sizes, strict=True)])
    scenario = Scenario(
        space,
        objectives=["first", "second"],
        n_trials=search.trials,
        deterministic=True,
        seed=search.seed,
        output_directory=scratch,
    )
    facade = BlackBoxFacade(
        scenario,
        lambda config, seed=0: [0.0, 0.0],  # noqa: ARG005 -- asked and told, never called
        multi_objective_algorithm=ParEGO(scenario),
        initial_design=BlackBoxFacade.get_initial_design(scenario, n_configs=0),
        overwrite=True,
        logging_level=logging.ERROR,
    )
    known: list[list[float]] = []

    def told(point: Point) -> Any:  # noqa: ANN401 -- SMAC ships no types
        values = search.evaluate(point)
        known.extend([values] if values else [])
        return TrialValue(cost=values or _worst(known))

    for point in search.start:
        config = Configuration(space, values=dict(zip(names, point, strict=True)))
        facade.tell(TrialInfo(config, seed=0), told(point))
    while True:
        info = facade.ask()
        facade.tell(info, told([int(info.config[n]) for n in names]))


def _worst(known: Sequence[Sequence[float]]) -> list[float]:
    return np.max(known, axis=0).tolist() if known else [WORST_UNSEEN, WORST_UNSEEN]


PEERS: dict[str, Callable[[Search], None]] = {"pymoo": pymoo, "botorch": botorch, "smac": smac}


def evaluator(incoming: TextIO, outgoing: TextIO) -> Callable[[Point], Told]:
    """Asks for one measurement; raises EOFError where there are no more."""

    def evaluate(point: Point) -> Told:
        print(json.dumps([int(v) for v in point]), file=outgoing, flush=True)
        line = incoming.readline()
        if not line:
            raise EOFError
        told: Told = json.loads(line)
        return told

    return evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is installed")
    parser.add_argument("peer", choices=PEERS)
    options = parser.parse_args()
    if importlib.util.find_spec(options.peer) is None:
        print(f"{options.peer} is not installed", file=sys.stderr)
        sys.exit(3)
    if options.check:
        return
    warnings.simplefilter("ignore")
    # What a peer prints must not get between the lines.
    outgoing, sys.stdout = sys.stdout, sys.stderr
    asked = json.loads(sys.stdin.readline())
    try:
        PEERS[options.peer](
            Search(
                sizes=tuple(asked["sizes"]),
                seed=asked["seed"],
                trials=asked["trials"],
                start=tuple(asked["start"]),
                evaluate=evaluator(sys.stdin, outgoing),
            )
        )
    except EOFError:
        return


if __name__ == "__main__":
    main()
