"""When the requests of an open loop are due, and how many connections of a closed one are active.

Times are in seconds since the first stage began. Requests are the events of a process of rate 1
whose clock is the integral of the rate (time rescaling: Cinlar 1975, "Introduction to Stochastic
Processes", 4.7). So a level that changes linearly needs no thinning.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple


class Ramp(NamedTuple):
    """A `tuner.spec.study.Stage` for the engine, which would take long to import that module."""

    seconds: float
    start: float
    end: float

    @property
    def area(self) -> float:
        """The integral of the level over the stage."""
        # A case of its own, since a stage may last for ever.
        if self.start == self.end:
            return self.seconds * self.start if self.start else 0.0
        return self.seconds * (self.start + self.end) / 2

    def time_of(self, area: float) -> float:
        """When the integral of the level since the stage's start is `area` (> 0)."""
        slope = (self.end - self.start) / self.seconds
        # The root of start * t + slope * t^2 / 2 = area, in the form without cancellation.
        root = math.sqrt(max(0.0, self.start**2 + 2 * slope * area))
        return min(self.seconds, 2 * area / (self.start + root))


def constant_gaps(seed: int) -> Iterator[float]:  # noqa: ARG001 -- as the others, which need it
    """Equal gaps, of a process of rate 1."""
    return itertools.repeat(1.0)


def poisson_gaps(seed: int) -> Iterator[float]:
    """Gaps of a Poisson process of rate 1."""
    draws = random.Random(f"arrivals {seed}")  # noqa: S311 -- no secret
    while True:
        yield draws.expovariate(1.0)


GAPS: dict[str, Callable[[int], Iterator[float]]] = {
    "constant": constant_gaps,
    "poisson": poisson_gaps,
}
"""By the name in `LoadSpec.arrivals`; each takes the seed."""


def first_of_trace(length: int, seed: int) -> int:
    """At which of its requests the replay of a trace begins."""
    return random.Random(f"trace {seed}").randrange(length)  # noqa: S311 -- no secret


def trace_gaps(gaps: Sequence[float], seed: int) -> Iterator[float]:
    """The gaps of a trace, from its drawn start on, round and round."""
    first = first_of_trace(len(gaps), seed)
    return itertools.cycle((*gaps[first:], *gaps[:first]))


def due_times(gaps: Iterator[float], stages: Iterable[Ramp]) -> Iterator[float]:
    """Due times, ascending, of requests whose rate per second is the stages' level.

    `gaps` are those of a process of rate 1. One gap is used for each due time, and one at the end.
    """
    began = 0.0
    area = next(gaps)
    for stage in stages:
        while area < stage.area:
            yield began + stage.time_of(area)
            area += next(gaps)
        area -= stage.area
        began += stage.seconds


def active_levels(stages: Iterable[Ramp]) -> Iterator[tuple[float, int]]:
    """The moments at which the rounded level changes, each with the new level, from 0 on.

    Halves are rounded up.
    """
    began, last = 0.0, -1
    for stage in stages:
        first, final = (math.floor(level + 0.5) for level in (stage.start, stage.end))
        if first != last:
            yield began, first
        step = 1 if final >= first else -1
        for level in range(first + step, final + step, step) if final != first else ():
            # The level is `border` where the rounded one becomes `level`.
            border = level - step / 2
            share = (border - stage.start) / (stage.end - stage.start)
            yield began + stage.seconds * min(1.0, max(0.0, share)), level
        began, last = began + stage.seconds, final
