"""Measures what the load engine itself adds to response times and how much it can send."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tuner.errors import TrialFailed
from tuner.load.sender import LoadGenerator
from tuner.load.target import Target
from tuner.measure import powercap, proc
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate
from tuner.measure.samples import Burst, RequestOutcome
from tuner.measure.statistics import art, batches, rate
from tuner.spec.study import LoadProfile, LoadProtocol, LoadSpec, Stage

FLOOR_CONNECTIONS = 1
CAPACITIES = (16, 64)
"""Numbers of connections. The capacity is that of the faster one."""

IDLE_SECONDS = 1.0

_SPEC = LoadSpec(batch_seconds=0.05, warmup_max_seconds=0.3, timeout_seconds=5.0)


def calibrate(
    generator: LoadGenerator,
    target: Target,
    bodies: Sequence[bytes],
    stage_seconds: float = 1.0,
    protocol: LoadProtocol = "rest",
) -> Calibration:
    """Send `bodies`, of `protocol`, to `target`, which only answers, in stages of that length.

    Before that the host's idle power is measured for one second, where it has RAPL. Raises
    TrialFailed when a request fails, and as `LoadGenerator.connect`.
    """
    power = _idle_power(target)
    stages = [Stage(stage_seconds, level, level) for level in (FLOOR_CONNECTIONS, *CAPACITIES)]
    profile = LoadProfile(max(CAPACITIES), _SPEC, seed=0, protocol=protocol)
    with generator.connect(target, profile, bodies) as client:
        floor, *others = client.explore(stages)
    failed = np.count_nonzero(floor.samples.outcome != RequestOutcome.OK)
    if failed:
        raise TrialFailed(
            f"{failed} of {len(floor.samples)} requests failed during the calibration"
        )
    span_ns = round(_SPEC.batch_seconds * 1e9)
    floor_ms = art(batches(floor.samples, floor.window_start_ns, floor.window_end_ns, span_ns))
    assert floor_ms is not None
    fastest, capacity = max(((b, _rate(b)) for b in others), key=lambda pair: pair[1].value)
    cpu_ns = fastest.client_end.cpu_ns - fastest.client_start.cpu_ns
    requests = capacity.value * _seconds(fastest)
    return Calibration(floor_ms, capacity, fastest.concurrency, cpu_ns / requests / 1e3, power)


def _rate(burst: Burst) -> Estimate:
    """Successful requests per second in the window."""
    span = _SPEC.batch_seconds
    spans = batches(burst.samples, burst.window_start_ns, burst.window_end_ns, round(span * 1e9))
    return rate(spans, span, float(spans.count.sum()) / (len(spans) * span))


def _seconds(burst: Burst) -> float:
    return (burst.window_end_ns - burst.window_start_ns) / 1e9


def _idle_power(target: Target) -> float | None:
    """In watts; None where the target is on another host or this one has no RAPL."""
    before = powercap.energy(proc.SYS) if target.local else {}
    if not before:
        return None
    began = time.perf_counter()
    time.sleep(IDLE_SECONDS)
    joules = powercap.joules(before, powercap.energy(proc.SYS))
    return None if joules is None else joules / (time.perf_counter() - began)
