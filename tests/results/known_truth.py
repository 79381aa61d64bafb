"""A posterior that knows the truth up to a given doubt, for tests of what is read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tuner.results.factorial import Factorial
from tuner.results.sample import Sample
from tuner.spec.metrics import METRICS
from tuner.spec.space import Parameter, SearchSpace

Truth = Callable[[Mapping[str, Any]], float]

SERVING = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16), unit="connections"),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0), unit="cores"),
        Parameter("memory", "int", "decision", 128, choices=(48, 64, 96, 128), unit="MiB"),
        Parameter("replicas", "int", "decision", 1, low=1, high=6),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 2.0, 5.0), unit="%"),
    )
)


def sample(
    space: SearchSpace,
    truths: Mapping[str, Truth],
    *,
    doubt: float = 0.001,
    feasible: Truth = lambda _: 1.0,
    focus: Sequence[str] = (),
    count: int = 200,
) -> Sample:
    """`truths` by metric, in its unit; every draw is off by `doubt` (of the logarithm), with the
    error at one configuration independent of that at another.
    """
    factorial = Factorial.of(space, focus)
    rng = np.random.default_rng(5)
    logs = np.log([[truth(c) for truth in truths.values()] for c in factorial.configurations])
    directions = tuple(METRICS[metric].better for metric in truths)
    signs = np.array([1.0 if d == "minimize" else -1.0 for d in directions])
    return Sample(
        factorial,
        tuple(truths),
        directions,
        signs * (logs + doubt * rng.standard_normal((count, *logs.shape))),
        np.array([feasible(c) for c in factorial.configurations], dtype=np.float64),
    )
