"""The highest rate of requests that a deployment holds: the search for it. Pure.

Each step is a burst of an open loop at one rate, judged by the study's constraints. A rate that is
answered more slowly than it comes fails as well, whatever they say: its backlog grows without end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.measure.validity import KEPT_RATE
from tuner.spec.study import Constraint

CAPACITY = "capacity_rps"
"""The metric that is found by this search."""

FIRST_RATE = 100.0
LEAST_RATE = 1.0
"""Requests/s: where the search begins, and below which nothing is tried."""

PRECISION = 0.1
"""The search ends when the lowest rate that failed is this share above the highest that held."""

MOST_STEPS = 12

USUAL_STEPS = 7
"""Up to three fourfold changes until one rate holds and one fails, then four halvings."""

UNBOUNDED = (Constraint("error_rate", "<=", 0.01),)
"""What has to hold where the study says nothing else."""

_GROWTH = 4.0
_BELOW_ANSWERED = 0.9


@dataclass(frozen=True)
class CapacityStep:
    """What a burst at `rate` requests/s said.

    `holds` is by the measured values. It is `sure` where no interval reaches over its bound.
    `answered` is the rate of answers where that is less than `rate`, so that the backlog grew.
    `failed` are the constraints that did not hold.
    """

    rate: float
    holds: bool
    sure: bool
    answered: float | None = None
    failed: tuple[str, ...] = ()


def capacity_constraints(constraints: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Those of a study's constraints that a rate has to hold."""
    return tuple(c for c in constraints if c.metric != CAPACITY) or UNBOUNDED


def judged_step(
    rate: float, measurement: Measurement, constraints: Sequence[Constraint]
) -> CapacityStep:
    """The step of a measured burst. A metric that was not measured does not hold."""
    throughput = measurement.metrics.get("throughput_rps")
    kept = throughput is not None and _most(throughput) >= KEPT_RATE * rate
    estimates = [(c, measurement.metrics.get(c.metric)) for c in constraints]
    failed = [c for c, e in estimates if e is None or c.violation(e.value) > 0]
    holds = kept and not failed
    if holds:
        sure = all(e is not None and _all_within(c, e) for c, e in estimates)
    else:
        sure = not kept or any(e is not None and _all_beyond(c, e) for c, e in estimates)
    answered = None if kept or throughput is None else throughput.value
    return CapacityStep(rate, holds, sure, answered, tuple(map(str, failed)))


@dataclass(frozen=True)
class Capacity:
    """A search under these `constraints`, and the measurement of each of its steps, in order."""

    search: CapacitySearch
    constraints: tuple[Constraint, ...]
    measurements: tuple[Measurement, ...] = ()

    @property
    def decisive(self) -> int:
        """The index of the step that counts: the highest rate that held, else the lowest."""
        step = self.search.held or self.search.cliff
        assert step is not None
        return self.search.steps.index(step)

    def after(self, measurement: Measurement) -> Capacity:
        """With one more step: the burst at the rate that the search asked for."""
        rate = self.search.next_rate()
        assert rate is not None
        step = judged_step(rate, measurement, self.constraints)
        measurements = (*self.measurements, measurement)
        return Capacity(self.search.after(step), self.constraints, measurements)

    def with_measured(self, measurement: Measurement) -> Measurement:
        """The measurement of the step that counts, with the capacity among its metrics."""
        estimate = self.search.estimate
        findings = measurement.findings
        if self.search.cliff is None:
            findings = (*findings, _engine_ends(estimate.value))
        metrics = {**measurement.metrics, CAPACITY: estimate}
        return replace(measurement, metrics=metrics, findings=findings)


@dataclass(frozen=True)
class CapacitySearch:
    """The steps so far, from `first` on; no rate is above `most`, the load engine's own end.

    The rates grow or fall fourfold until one holds and one fails, then their geometric mean is
    tried. A step whose backlog grew says more: the capacity is likely near what it answered. Where
    even a quarter of a rate that was answered surely fails, no rate holds.
    """

    first: float = FIRST_RATE
    most: float = math.inf
    steps: tuple[CapacityStep, ...] = ()

    def after(self, step: CapacityStep) -> CapacitySearch:
        return CapacitySearch(self.first, self.most, (*self.steps, step))

    @property
    def held(self) -> CapacityStep | None:
        """The step of the highest rate that held."""
        return max((s for s in self.steps if s.holds), key=lambda s: s.rate, default=None)

    @property
    def cliff(self) -> CapacityStep | None:
        """The step of the lowest rate that failed."""
        return min((s for s in self.steps if not s.holds), key=lambda s: s.rate, default=None)

    def next_rate(self) -> float | None:
        """The rate of the next step in requests/s; None where the capacity is known."""
        low, high = (step.rate if step else None for step in (self.held, self.cliff))
        known = (
            len(self.steps) >= MOST_STEPS
            or (high is None and low is not None and low >= self.most)
            or (low is None and high is not None and (high <= LEAST_RATE or self._hopeless()))
            or (low is not None and high is not None and high <= (1 + PRECISION) * low)
        )
        if known:
            return None
        if high is None:
            rate = self.first if low is None else _GROWTH * low
        else:
            rate = self._below(high) if low is None else self._between(low, high)
        return max(LEAST_RATE, min(rate, self.most))

    def _hopeless(self) -> bool:
        """Whether two rates surely failed though they were answered: less load would not help."""
        failed = [s for s in self.steps if s.sure and not s.holds and s.answered is None]
        return len(failed) > 1

    def _below(self, high: float) -> float:
        """A rate that may hold, where none has and `high` failed."""
        answered = self.cliff.answered if self.cliff else None
        if answered is None:
            return high / _GROWTH
        return min(_BELOW_ANSWERED * answered, high / (1 + PRECISION))

    def _between(self, low: float, high: float) -> float:
        """A rate between one that held and one that failed.

        Where the failed one had a backlog that grew, the capacity is likely near what it answered.
        The last step is then just so far above that it ends the search where it fails.
        """
        answered = self.cliff.answered if self.cliff else None
        if answered is not None and low < answered:
            near = max(_BELOW_ANSWERED * answered, (1 + PRECISION) * low)
            return min(near, math.sqrt(low * high)) if near < high else math.sqrt(low * high)
        return math.sqrt(low * high)

    @property
    def estimate(self) -> Estimate:
        """The capacity in requests/s: the highest rate that held, 0 where none did.

        Its interval goes from the highest rate that surely held to the lowest that surely failed.
        It has none where the load engine came to its end before the deployment.
        """
        value = self.held.rate if self.held else 0.0
        if self.cliff is None:
            return Estimate(value)
        low = max((s.rate for s in self.steps if s.holds and s.sure), default=0.0)
        surely = [s.rate for s in self.steps if not s.holds and s.sure]
        failed = [s.rate for s in self.steps if not s.holds]
        return Estimate(value, low, min(surely) if surely else max(failed))


def _engine_ends(rate: float) -> Finding:
    return Finding(
        "WARN",
        f"the capacity is at least {rate:.0f} requests/s: the load engine can send no more",
        "Raise load.senders, use a larger host, or a configuration that is slower.",
    )


def _most(estimate: Estimate) -> float:
    return estimate.value if estimate.high is None else estimate.high


def _all_within(constraint: Constraint, estimate: Estimate) -> bool:
    worst = estimate.high if constraint.operator == "<=" else estimate.low
    return constraint.violation(estimate.value if worst is None else worst) <= 0


def _all_beyond(constraint: Constraint, estimate: Estimate) -> bool:
    best = estimate.low if constraint.operator == "<=" else estimate.high
    return constraint.violation(estimate.value if best is None else best) > 0
