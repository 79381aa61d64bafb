"""Pruning: a burst ends before it is precise where all that it could still say changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tuner.measure import resources
from tuner.measure.measurement import Estimate, student
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.measure.repeatability import Repeatability
from tuner.measure.samples import CpuReadings, RequestOutcome, RequestSamples
from tuner.measure.stated import COMPOSED, LossyNetwork
from tuner.measure.statistics import Batches, art, percentile, proportion, rate
from tuner.measure.validity import KEPT_RATE
from tuner.spec.metrics import METRICS, PERCENTILES
from tuner.spec.reservation import RESERVED, reserved
from tuner.spec.space import Configuration
from tuner.spec.study import Constraint, KnownLoss, Objective

FEWEST_BATCHES = 3
"""With fewer batches than these a window is not pruned."""

_SURE_GROWTH = 4.0

CONFIDENCE = 0.99
"""Of a bound: the pruner looks again after each batch, and one wrong look ends the burst."""


@dataclass(frozen=True, eq=False)
class WindowSoFar:
    """A measured window so far.

    `batches` are its k whole batches of `batch_seconds`, `cpu` the readings at their k + 1 ends;
    `samples` gives the requests that completed in it. Of an open loop `due` counts the requests
    that became due in it, None of a closed one, and `ended` those that ended in it, in any way.
    """

    batches: Batches
    cpu: CpuReadings
    batch_seconds: float
    samples: Callable[[], RequestSamples]
    due: int | None = None
    ended: int = 0


INDIFFERENT = frozenset({"error_rate", "memory_peak_mib", "ready_seconds", *RESERVED})
"""Metrics that a longer lossy burst would not know better."""

Pruner = Callable[[WindowSoFar], str]
"""Why the burst may end now, in words; empty while it is to go on."""


def over_saturated(seen: WindowSoFar) -> str:
    """Why an open loop surely comes faster than it is answered; empty where it may not.

    Its backlog grows without end, so its response times are those of the window's length. By chance
    a backlog varies by the square root of the requests that came and went. Here it grew by more
    than `_SURE_GROWTH` times that, and by more than the share that is not kept.
    """
    if seen.due is None or len(seen.batches) < FEWEST_BATCHES:
        return ""
    grown = seen.due - seen.ended
    by_chance = _SURE_GROWTH * math.sqrt(seen.due + seen.ended)
    if grown <= max(by_chance, (1 - KEPT_RATE) * seen.due):
        return ""
    seconds = len(seen.batches) * seen.batch_seconds
    return (
        f"over-saturated: {seen.ended / seconds:.0f} of {seen.due / seconds:.0f} requests/s were"
        " answered, so the backlog grows"
    )


@dataclass(frozen=True)
class Rival:
    """A measured trial of the same scenario; `bounds` are its objectives' worse ends (95 %)."""

    number: int
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class BurstPruner:
    """Ends a window that a rival dominates at all confidence bounds, or that breaks a constraint.

    `margins` say by which share of an objective's value two bursts of one configuration differ
    beyond their own intervals, `margin` the same of any other metric; `host_cpus` are those of the
    replicas' host. `reserved` are the metrics that the configuration has by itself. It waits until
    every objective and constraint could be measured: what is pruned must still be a measurement.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    rivals: tuple[Rival, ...]
    margins: tuple[float, ...]
    margin: float
    host_cpus: int
    reserved: Mapping[str, Estimate] = field(default_factory=dict)

    def __call__(self, seen: WindowSoFar) -> str:
        if len(seen.batches) < FEWEST_BATCHES:
            return ""
        names = {o.metric for o in self.objectives} | {c.metric for c in self.constraints}
        estimates = {
            name: self.reserved.get(name) or so_far(seen, name, self.host_cpus) for name in names
        }
        # A metric of the counters alone is there at the end whatever the window; it prunes nothing.
        if any(e is None for name, e in estimates.items() if name in WITHIN_A_WINDOW):
            return ""
        k = len(seen.batches)
        for constraint in self.constraints:
            estimate = estimates[constraint.metric]
            if estimate is None:
                continue
            margin = 0.0 if constraint.metric in self.reserved else self.margin
            low, high = bounds(estimate, k, margin)
            best = low if constraint.operator == "<=" else high
            if constraint.violation(best) > 0:
                return f"{constraint} is surely broken"
        ends = []
        for objective, margin in zip(self.objectives, self.margins, strict=True):
            estimate = estimates[objective.metric]
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


def pruner_of(
    study: StudyRecord, configuration: Configuration, host_cpus: int
) -> BurstPruner | None:
    """The pruner of the burst of `configuration`; None for the baseline, which is never pruned.

    Rivals are the trials of the same scenario that may be on a front. Each counts by the worse ends
    of its stated intervals. How far bursts of one configuration differ is known once enough were
    repeated. Until then the study's precision stands for it.
    """
    if configuration == study.search_space.baseline():
        return None
    unknown = study.precision
    reserves = reserved(configuration, study.prices)
    repeats = study.repeatability_in(study.scenario_of(configuration))
    exact = {name: Estimate.exact(value) for name, value in reserves.items()}
    return BurstPruner(
        study.objectives,
        study.constraints,
        tuple(_rivals(study, configuration)),
        tuple(
            0.0 if o.metric in exact else _between(repeats.get(o.metric), unknown)
            for o in study.objectives
        ),
        unknown,
        host_cpus,
        exact,
    )


def known_loss(study: StudyRecord, configuration: Configuration) -> KnownLoss | None:
    """What the study knows of what lost packets add to the ART of a configuration, at worst.

    None where it knows nothing, where the network's part does not hold for the configuration, or
    where the study judges something that only delayed requests show.
    """
    judged = {o.metric for o in study.objectives} | {c.metric for c in study.constraints}
    network = LossyNetwork.of(configuration)
    if network is None or not judged <= COMPOSED | INDIFFERENT:
        return None
    parts = []
    for trial in study.trials:
        if trial.stated is not None and LossyNetwork.of(trial.configuration) == network:
            if trial.stated.network is not None:
                parts.append(trial.stated.network)
            elif trial.configuration == configuration:
                return None
    if not parts:
        return None
    worst = max(parts, key=lambda part: part.error_ms)
    return KnownLoss(worst.mean_ms, worst.error_ms)


def _rivals(study: StudyRecord, configuration: Configuration) -> list[Rival]:
    scenario = study.scenario_of(configuration)
    rivals = []
    for trial in study.trials:
        if trial.eligible and study.scenario_of(trial.configuration) == scenario:
            ends = _worse_ends(study, trial)
            if ends is not None:
                rivals.append(Rival(trial.number, ends))
    return rivals


def _worse_ends(study: StudyRecord, trial: TrialRecord) -> tuple[float, ...] | None:
    """Of each objective the end of its stated interval that is worse; None without intervals."""
    ends = []
    for objective in study.objectives:
        stated = study.estimate(trial, objective.metric)
        if stated is None:
            return None
        end = stated.high if objective.direction == "minimize" else stated.low
        if end is None:
            return None
        ends.append(end)
    return tuple(ends)


def _between(repeats: Repeatability | None, unknown: float) -> float:
    return unknown if repeats is None else student(repeats.degrees) * repeats.relative_sd


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


def so_far(seen: WindowSoFar, metric: str, host_cpus: int) -> Estimate | None:
    """A metric of the window so far; None where it cannot be said yet, or not within a window."""
    of = WITHIN_A_WINDOW.get(metric)
    if of is None:
        return None
    estimate = of(seen)
    scale = 100 / host_cpus if metric == "cpu_percent" else 1.0
    return None if estimate is None else resources.scaled(estimate, scale)


def _throughput(seen: WindowSoFar) -> Estimate:
    spans = seen.batches
    mean = float(spans.count.sum()) / (len(spans) * seen.batch_seconds)
    return rate(spans, seen.batch_seconds, mean)


def _error_rate(seen: WindowSoFar) -> Estimate | None:
    samples = seen.samples()
    if not len(samples):
        return None
    return proportion(int(np.count_nonzero(samples.outcome != RequestOutcome.OK)), len(samples))


def _percentile(p: float) -> Callable[[WindowSoFar], Estimate | None]:
    def of(seen: WindowSoFar) -> Estimate | None:
        samples = seen.samples()
        good = samples.duration_ns[samples.outcome == RequestOutcome.OK]
        return percentile(np.sort(good) / 1e6, p)

    return of


WITHIN_A_WINDOW: dict[str, Callable[[WindowSoFar], Estimate | None]] = {
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
"""The metrics that can be estimated within a window, and how."""
