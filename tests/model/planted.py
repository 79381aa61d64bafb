"""A space whose objectives are known, and the model of measurements of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from tuner.model.candidates import Candidates
from tuner.model.observations import Observation
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration, Parameter, SearchSpace

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 512, choices=(16, 512)),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2, 4)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 2.0)),
    )
)
METRICS = ("art_ms", "cpu_percent")

Truth = Callable[[Configuration], tuple[float, float] | None]


def truth(of: Configuration) -> tuple[float, float] | None:
    """More CPU is faster and costs more; a fourth replica costs and brings nothing."""
    if of["memory"] == 16:
        return None
    cpu, replicas = float(of["cpu"]), int(of["replicas"])
    power = cpu ** (0.9 if of["concurrency"] == 1 else 0.6)
    art = float(of["concurrency"]) * (1 + float(of["loss"])) * 4 / power
    return art, 10 * cpu * (1 + 0.2 * (replicas - 1))


def observed(
    configurations: Sequence[Configuration], of: Truth = truth, noise: float = 0.01
) -> list[Observation]:
    rng = np.random.default_rng(5)
    found = []
    for number, configuration in enumerate(configurations):
        values = of(configuration)
        if values is None:
            found.append(Observation(number, configuration, None, {"serves": 1.0}))
            continue
        noisy = tuple(v * math.exp(rng.normal(0, noise)) for v in values)
        found.append(Observation(number, configuration, noisy, {"serves": -1.0}, (noise, noise)))
    return found


@cache
def model(count: int = 60, noise: float = 0.01) -> Surrogate:
    """Of `count` of the 96 configurations in random order."""
    candidates = Candidates.of(SPACE)
    order = np.random.default_rng(2).permutation(len(candidates))
    known = observed([candidates.configurations[i] for i in order[:count]], noise=noise)
    return Surrogate.fit(candidates, METRICS, ("minimize", "minimize"), known)
