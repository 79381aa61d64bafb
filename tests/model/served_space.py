"""A small space of the five parameters, and bursts of a host made by other formulas than ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from tuner.model.candidates import Candidates
from tuner.model.observations import Observation
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, Parameter, SearchSpace

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 256, choices=(64, 128, 256)),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2, 4)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 4.0)),
    )
)
CANDIDATES = Candidates.of(SPACE)
METRICS = ("art_ms", "cpu_percent")
DIRECTIONS: tuple[Direction, ...] = ("minimize", "minimize")
HOST = 4.0


def number(configuration: Configuration, name: str) -> float:
    return float(configuration[name])


def bounds(x: Configuration) -> tuple[float, float]:
    """ART in ms and CPU usage in percent by asymptotic bounds (Denning and Buzen, 1978): a corner
    where a queue has a bend; 5 ms of CPU time, 400 ms for each lost packet of one direction.
    """
    clients, replicas = number(x, "concurrency"), number(x, "replicas")
    cores = min(replicas * number(x, "cpu"), HOST)
    alone = 0.005 / min(number(x, "cpu"), 1.0) + 0.4 * number(x, "loss") / 100
    throughput = min(clients / alone, cores / 0.005)
    return 1000 * clients / throughput, 100 * (throughput * 0.005 + 0.01 * replicas) / HOST


def upside_down(x: Configuration) -> tuple[float, float]:
    """What no queue does: more clients are served sooner, and loss helps."""
    art = 50 / math.sqrt(number(x, "concurrency")) / (1 + number(x, "loss"))
    return art * number(x, "replicas"), 20 / number(x, "cpu") + number(x, "concurrency")


def fits(x: Configuration) -> bool:
    """40 MiB, and 15 for each request at once."""
    load = math.ceil(number(x, "concurrency") / number(x, "replicas"))
    return number(x, "memory") >= 40 + 15 * load


def burst(
    number: int,
    configuration: Configuration,
    rng: np.random.Generator,
    truth: Callable[[Configuration], tuple[float, ...]] = bounds,
    serves: Callable[[Configuration], bool] = lambda _: True,
    sd: float = 0.04,
) -> Observation:
    if not serves(configuration):
        return Observation(number, configuration, None, {"serves": 1.0})
    values = tuple(v * math.exp(sd * rng.standard_normal()) for v in truth(configuration))
    return Observation(number, configuration, values, {"serves": -1.0}, tuple(sd for _ in values))


def bursts(
    rows: Iterable[int],
    seed: int = 0,
    truth: Callable[[Configuration], tuple[float, ...]] = bounds,
    serves: Callable[[Configuration], bool] = lambda _: True,
) -> list[Observation]:
    """One for each of these rows of `CANDIDATES`."""
    rng = np.random.default_rng(seed)
    chosen = [CANDIDATES.configurations[int(row)] for row in rows]
    return [burst(i, x, rng, truth, serves) for i, x in enumerate(chosen)]


def some_rows(count: int, seed: int = 0) -> list[int]:
    return [int(r) for r in np.random.default_rng(seed).permutation(len(CANDIDATES))[:count]]


def logs(truth: Callable[[Configuration], tuple[float, ...]]) -> npt.NDArray[np.float64]:
    return np.log([truth(x) for x in CANDIDATES.configurations])
