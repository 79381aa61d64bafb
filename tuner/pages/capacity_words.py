"""The capacity of a configuration in words."""

from __future__ import annotations

from tuner.measure.capacity import Capacity, CapacityStep
from tuner.results.service_level import replicas_needed
from tuner.results.wording import counted, figure, interval, metric_interval, together
from tuner.spec.metrics import METRICS


def capacity_sentence(capacity: Capacity) -> str:
    """The highest rate that holds, the bounds that it holds, and what broke just above it."""
    held, cliff = capacity.search.held, capacity.search.cliff
    bounds = together([str(c) for c in capacity.constraints])
    if held is None:
        assert cliff is not None
        broke = _broke(capacity, cliff)
        return f"It has no capacity: even at {figure(cliff.rate)} requests/s {broke}."
    capacity_text = interval(capacity.search.estimate)
    if cliff is None:
        return (
            f"It holds {bounds} at {figure(held.rate)} requests/s, the most that the load engine"
            " can send; its capacity is higher."
        )
    return (
        f"Capacity: {capacity_text} requests/s hold {bounds}. At {figure(cliff.rate)} requests/s"
        f" {_broke(capacity, cliff)}."
    )


def replicas_sentence(capacity: Capacity, replicas: int, rate: float) -> str:
    """How many replicas a rate needs, where `replicas` of them have this capacity."""
    estimate = capacity.search.estimate
    needed = replicas_needed(rate, estimate, replicas)
    if needed is None:
        return f"No number of such replicas holds {figure(rate)} requests/s."
    least = estimate.value if estimate.low is None else estimate.low
    hold = "holds" if replicas == 1 else "hold"
    return (
        f"For {figure(rate)} requests/s deploy {counted(needed, 'such replica')}:"
        f" {counted(replicas, 'replica')} {hold} at least {figure(least)} requests/s, and each"
        " added one holds its share if it has a CPU of its own."
    )


def _broke(capacity: Capacity, cliff: CapacityStep) -> str:
    """How a rate failed."""
    measured = capacity.measurements[capacity.search.steps.index(cliff)].metrics
    if cliff.answered is not None:
        return f"it is over-saturated: it answers {figure(cliff.answered)} requests/s"
    values = [
        metric_interval(c.metric, measured[c.metric])
        if c.metric in measured
        else f"{METRICS[c.metric].label} could not be measured"
        for c in capacity.constraints
        if str(c) in cliff.failed
    ]
    return f"it does not hold: {together(values)}"
