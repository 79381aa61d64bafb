"""Measures what the load engine itself adds to response times and how much it can send."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tuner.errors import TrialFailed
from tuner.load.sender import LoadGenerator
from tuner.load.target import Target
from tuner.load.trace import Trace
from tuner.measure import powercap, proc
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate
from tuner.measure.resources import client_cpu_ns
from tuner.measure.samples import Burst, RequestOutcome
from tuner.measure.statistics import art, batches, rate
from tuner.serving.servers.call import Call
from tuner.spec.study import (
    LoadProfile,
    LoadProtocol,
    LoadSpec,
    SenderCount,
    Stage,
    StudySpec,
)

FLOOR_CONNECTIONS = 1
CAPACITIES = (16, 64)
"""Numbers of connections, as far as `MOST_IN_FLIGHT` allows. The faster one has the capacity."""

MOST_IN_FLIGHT = 100_000_000
"""Bytes of requests under way. With more of them, single requests wait for seconds."""

IDLE_SECONDS = 1.0
LEAST_TIMEOUT = 5.0

_SPEC = LoadSpec(batch_seconds=0.05, warmup_max_seconds=0.3)


def calibrate(
    generator: LoadGenerator,
    target: Target,
    calls: Sequence[Call],
    stage_seconds: float = 1.0,
    protocol: LoadProtocol = "rest",
    timeout_seconds: float = LEAST_TIMEOUT,
    senders: int = 1,
) -> Calibration:
    """Send `calls`, of `protocol`, to `target`, which only answers, in stages of that length.

    So many `senders` share the connections, as in a burst.
    Where no request ends in a stage, all are repeated with a length of several times
    `timeout_seconds`, after which a request has failed. Before that the host's idle power is
    measured for one second, where it has RAPL. Raises TrialFailed when a request fails, and as
    `LoadGenerator.connect`.
    """
    power = _idle_power(target)
    largest = max(len(call.body) for call in calls)
    answered = [replace(call, status=200) for call in calls]
    levels = (FLOOR_CONNECTIONS, *capacity_levels(largest))
    spec = replace(_SPEC, timeout_seconds=timeout_seconds)
    profile = LoadProfile(max(levels), spec, seed=0, protocol=protocol, senders=senders)
    for seconds in (stage_seconds, 3 * timeout_seconds):
        stages = [Stage(seconds, level, level) for level in levels]
        with generator.connect(target, profile, answered) as client:
            bursts = client.explore(stages)
        _refuse_failed(bursts, largest, timeout_seconds)
        if all(map(_rate, bursts)):
            break
    measured = [(burst, rate) for burst in bursts if (rate := _rate(burst)) is not None]
    span_ns = round(_SPEC.batch_seconds * 1e9)
    floor = bursts[0]
    floor_ms = art(batches(floor.samples, floor.window_start_ns, floor.window_end_ns, span_ns))
    if floor_ms is None:
        raise TrialFailed(
            "no request ended during the calibration", _mend(largest, timeout_seconds)
        )
    # Of large requests one connection may send most.
    rates = measured[1:] if levels[1:] == CAPACITIES and measured[1:] else measured
    fastest, capacity = max(rates, key=lambda pair: pair[1].value)
    requests = capacity.value * _seconds(fastest)
    cpu_us = client_cpu_ns(fastest) / requests / 1e3
    return Calibration(floor_ms, capacity, fastest.concurrency, cpu_us, power, senders)


def calibrate_senders(
    measured: Callable[[int], Calibration | None],
    senders: SenderCount,
    level: float | None,
    most: int,
    least: int = 1,
) -> Calibration | None:
    """The calibration of as many senders as a study uses; `measured` is given how many.

    `auto` is `least`, or as few more as can send `level` requests/s honestly, at most `most`. Where
    no number of them can, it is what was fastest. None where `measured` gives none.
    """
    if senders != "auto":
        return measured(senders)
    best = measured(least)
    while best is not None and level is not None and level > best.honest_rps():
        needed = math.ceil(best.senders * level / best.honest_rps())
        more = measured(min(most, needed)) if best.senders < most else None
        if more is None or more.honest_rps() <= best.honest_rps():
            break
        best = more
    return best


def study_level(study: StudySpec, trace: Trace | None) -> float | None:
    """The highest rate of an open loop that the study's trials send; None where none is known."""
    parameter = next((p for p in study.search_space if p.name == "rate"), None)
    if parameter is None:
        return None if trace is None else trace.rate_rps
    highest = parameter.choices[-1] if parameter.choices else parameter.high
    return None if highest is None else float(highest)


def capacity_levels(largest_body: int) -> tuple[int, ...]:
    """How many connections to measure the capacity with, for bodies of up to so many bytes."""
    most = max(1, MOST_IN_FLIGHT // max(1, largest_body))
    return tuple(dict.fromkeys(min(level, most) for level in CAPACITIES))


def _refuse_failed(bursts: Sequence[Burst], largest_body: int, timeout_seconds: float) -> None:
    """Raise TrialFailed where a request failed. Those that the end of the load cut off did not."""
    samples, end = bursts[0].samples, bursts[-1].window_end_ns
    ended = samples.start_ns + samples.duration_ns < end
    failed = np.count_nonzero(ended & (samples.outcome != RequestOutcome.OK))
    if failed:
        raise TrialFailed(
            f"{failed} of {np.count_nonzero(ended)} requests failed during the calibration",
            _mend(largest_body, timeout_seconds),
        )


def _mend(largest_body: int, timeout_seconds: float) -> str:
    return (
        f"A request has up to {largest_body / 1e6:.3g} MB and {timeout_seconds:g} s: send smaller"
        " inputs, raise load.timeout_seconds, or stop what else runs on this host."
    )


def _rate(burst: Burst) -> Estimate | None:
    """Successful requests per second in the window; None without one, or without a whole batch."""
    span = _SPEC.batch_seconds
    spans = batches(burst.samples, burst.window_start_ns, burst.window_end_ns, round(span * 1e9))
    count = float(spans.count.sum())
    return rate(spans, span, count / (len(spans) * span)) if count else None


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
