"""A problem that can be seen through: one deployment parameter, two losses."""

from __future__ import annotations

import numpy as np

from benchmarks.search_judge import Answer
from benchmarks.search_truth import Measured, Problem
from tuner.spec.space import Parameter, SearchSpace


def small(values: dict[tuple[int, float], tuple[float, float] | None]) -> Problem:
    """Replicas 1 to 4 at loss 0 and 1; what is not given is infeasible."""
    space = SearchSpace(
        (
            Parameter("replicas", "int", "decision", 1, choices=(1, 2, 3, 4)),
            Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0)),
        )
    )
    points = [values.get((int(c["replicas"]), float(c["loss"]))) for c in space.grid()]
    truth = np.array([(np.nan, np.nan) if p is None else p for p in points])

    def measure(row: int, rng: np.random.Generator) -> Measured | None:
        noise = np.exp(0.05 * rng.standard_normal(2))
        return (
            None if np.isnan(truth[row]).any() else Measured(truth[row] * noise, np.full(2, 0.05))
        )

    return Problem("small", space, ("art_ms", "cpu_percent"), 2.0, truth, measure)


SMALL = small(
    {
        (1, 0.0): (100.0, 10.0),
        (2, 0.0): (50.0, 20.0),
        (3, 0.0): (50.5, 21.0),  # dominated by little
        (4, 0.0): (80.0, 30.0),  # dominated by much
        (1, 1.0): (200.0, 10.0),
        (2, 1.0): (100.0, 20.0),
    }
)
ROW = {(int(c["replicas"]), float(c["loss"])): i for i, c in enumerate(SMALL.configurations)}


def answer(loss: float, *replicas: int, factor: float = 1.0) -> Answer:
    rows = np.array([ROW[r, loss] for r in replicas])
    known = np.nan_to_num(SMALL.truth[rows], nan=1.0)
    return Answer(int(loss), rows, known * [factor, 1.0])
