"""Whether a burst may end before it is precise, as what it could still say would change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tuner.measure import resources
from tuner.measure.measurement import Estimate
from tuner.measure.samples import CpuReadings, RequestOutcome, RequestSamples
from tuner.measure.score import PERCENTILES
from tuner.measure.statistics import Batches, art, percentile, proportion, rate
from tuner.measure.student import student
from tuner.spec.metrics import METRICS
from tuner.spec.study import Constraint, Objective

FEWEST_BATCHES = 3
"""Batches of a window below which it is not judged."""

CONFIDENCE = 0.99
"""Of a bound: a burst is judged again at each batch, and one wrong judgement ends it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A measured window so far.

    `batches` are its k whole batches of `batch_seconds`, `cpu` the readings at their k + 1 ends;
    `samples` gives the requests that completed in it.
    """

    batches: Batches
    cpu: CpuReadings
    batch_seconds: float
    samples: Callable[[], RequestSamples]


Judge = Callable[[Seen], str]
"""Why the burst may end now, in words; empty while it is to go on."""


@dataclass(frozen=True)
class Rival:
    """A measured trial of the same scenario; `bounds` are its objectives' worse ends (95 %)."""

    number: int
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class Hopeless:
    """Judges a window: dominated by a rival at all confidence bounds, or a constraint is broken.

    `margins` say by which share of an objective's value two bursts of one configuration differ
    beyond their own intervals, `margin` the same of any other metric; `host_cpus` are those of the
    replicas' host. It judges only once every objective and constraint could be measured: what is
    cut short must still be a measurement.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    rivals: tuple[Rival, ...]
    margins: tuple[float, ...]
    margin: float
    host_cpus: int

    def __call__(self, seen: Seen) -> str:
        if len(seen.batches) < FEWEST_BATCHES:
            return ""
        names = {o.metric for o in self.objectives} | {c.metric for c in self.constraints}
        found = {name: so_far(seen, name, self.host_cpus) for name in names}
        # A metric of the counters alone is there at the end whatever the window; it is not judged.
        if any(e is None for name, e in found.items() if name in JUDGED):
            return ""
        k = len(seen.batches)
        for constraint in self.constraints:
            estimate = found[constraint.metric]
            if estimate is None:
                continue
            low, high = bounds(estimate, k, self.margin)
            best = low if constraint.operator == "<=" else high
            if constraint.violation(best) > 0:
                return f"{constraint} is surely broken"
        ends = []
        for objective, margin in zip(self.objectives, self.margins, strict=True):
            estimate = found[objective.metric]
            if estimate is None:
                return ""
            low, high = bounds(estimate, k, margin)
            ends.append(low if objective.direction == "minimize" else -high)
        for rival in self.rivals:
            if all(
                end > (bound if objective.direction == "minimize" else -bound)
                for end, bound, objective in zip(ends, rival.bounds, self.objectives, strict=True)
            ):
                labels = " and ".join(METRICS[o.metric].label for o in self.objectives)
                return f"trial {rival.number} is surely better in {labels}"
        return ""


def bounds(estimate: Estimate, batches: int, margin: float) -> tuple[float, float]:
    """The ends of an interval that holds with `CONFIDENCE` and, beyond it, a share `margin`.

    Without an interval of its own a value has none: infinite ends. `batches` are those that the
    95 % interval of `estimate` rests on.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if low is None or high is None:
        return -math.inf, math.inf
    wider = student(batches - 1, CONFIDENCE) / student(batches - 1)
    beyond = margin * abs(value)
    down, up = math.hypot(wider * (value - low), beyond), math.hypot(wider * (high - value), beyond)
    return value - down, value + up


def so_far(seen: Seen, metric: str, host_cpus: int) -> Estimate | None:
    """A metric of the window so far; None where it cannot be said yet, or not within a window."""
    judged = JUDGED.get(metric)
    if judged is None:
        return None
    found = judged(seen)
    scale = 100 / host_cpus if metric == "cpu_percent" else 1.0
    return None if found is None else resources.scaled(found, scale)


def _throughput(seen: Seen) -> Estimate:
    spans = seen.batches
    mean = float(spans.count.sum()) / (len(spans) * seen.batch_seconds)
    return rate(spans, seen.batch_seconds, mean)


def _error_rate(seen: Seen) -> Estimate | None:
    samples = seen.samples()
    if not len(samples):
        return None
    return proportion(int(np.count_nonzero(samples.outcome != RequestOutcome.OK)), len(samples))


def _percentile(p: float) -> Callable[[Seen], Estimate | None]:
    def of(seen: Seen) -> Estimate | None:
        samples = seen.samples()
        good = samples.duration_ns[samples.outcome == RequestOutcome.OK]
        return percentile(np.sort(good) / 1e6, p)

    return of


JUDGED: dict[str, Callable[[Seen], Estimate | None]] = {
    "art_ms": lambda seen: art(seen.batches),
    "throughput_rps": _throughput,
    "cpu_cores": lambda seen: resources.cores_of(seen.cpu),
    "cpu_percent": lambda seen: resources.cores_of(seen.cpu),
    "cpu_ms_per_request": lambda seen: resources.per_request(
        seen.cpu, seen.batches, seen.batch_seconds
    ),
    "error_rate": _error_rate,
    **{name: _percentile(p) for name, p in PERCENTILES.items()},
}
"""The metrics that are judged within a window, and how."""
