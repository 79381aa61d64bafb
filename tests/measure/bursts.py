"""Bursts whose every figure is known, for the tests of this directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate
from tuner.measure.proc import HostCounters
from tuner.measure.samples import (
    Burst,
    ClientCounters,
    ContainerCounters,
    CpuReadings,
    RequestOutcome,
    RequestSamples,
)

SECOND = 10**9
MS = 10**6
MIB = 2**20

CALIBRATION = Calibration(
    floor_ms=Estimate(0.2),
    capacity_rps=Estimate(20_000.0),
    concurrency=64,
    client_cpu_us=25.0,
    idle_power_w=3.0,
)

ENERGY = {"package-0": (44_000_000, 2**32)}
"""What the host's energy counter, which started at 0, ended at: 11 W."""

# Two replicas, each with a clock of its own, and what their counters grow by within 4 s.
_STARTED = (101.0, 101.5)
_SECONDS = 4
_GROWN: tuple[Mapping[str, int], ...] = (
    {
        "cpu_ns": 2 * SECOND,
        "periods": 40,
        "throttled_periods": 10,
        "memory_peak_bytes": 3 * MIB,
        "memory_limit_hits": 8,
        "major_faults": 4,
        "wait_ns": 40 * MS,
        "received_bytes": 4 * MIB,
        "sent_bytes": 2 * MIB,
        "segments_sent": 1000,
        "retransmitted": 10,
        "cpu_pressure_ns": 400 * MS,
        "memory_pressure_ns": 0,
        "io_pressure_ns": 40 * MS,
    },
    {
        "cpu_ns": SECOND,
        "memory_peak_bytes": MIB,
        "wait_ns": 120 * MS,
        "received_bytes": 4 * MIB,
        "sent_bytes": 2 * MIB,
        "segments_sent": 1000,
        "retransmitted": 30,
        "cpu_pressure_ns": 0,
        "memory_pressure_ns": 80 * MS,
        "io_pressure_ns": 40 * MS,
    },
)


def samples(
    end_ns: Sequence[int], duration_ns: Sequence[int], outcome: Sequence[int]
) -> RequestSamples:
    """Requests of one connection to one replica, by when they ended."""
    n = len(end_ns)
    duration = np.array(duration_ns, np.int64)
    return RequestSamples(
        start_ns=np.array(end_ns, np.int64) - duration,
        delay_ns=np.zeros(n, np.int64),
        duration_ns=duration,
        status=np.full(n, 200, np.int16),
        outcome=np.array(outcome, np.int8),
        replica=np.zeros(n, np.int16),
        connection=np.zeros(n, np.int32),
        request=np.zeros(n, np.int32),
    )


def counters(seconds: float, **values: int | None) -> ContainerCounters:
    """One replica's counters at a time; what is not named is 0, as far as every source has it."""
    required: dict[str, Any] = dict.fromkeys(
        (
            "cpu_ns",
            "periods",
            "throttled_periods",
            "throttled_ns",
            "memory_peak_bytes",
            "memory_limit_hits",
            "oom_kills",
            "major_faults",
        ),
        0,
    )
    return ContainerCounters(
        **{**required, **values, "time_ns": round(seconds * SECOND), "source": "test"}
    )


def readings(time_s: Sequence[float], cpu_s: Sequence[Sequence[float]]) -> CpuReadings:
    """CPU seconds of each replica (inner sequences) at each time of one clock."""
    cpu = np.array(cpu_s, float).T
    time = np.repeat(np.array(time_s, float)[:, None], cpu.shape[1], axis=1)
    return CpuReadings(
        np.rint(time * SECOND).astype(np.int64), np.rint(cpu * SECOND).astype(np.int64)
    )


def closed_loop(
    concurrency: int = 4,
    response_ms: float = 10,
    seconds: float = 6,
    window: tuple[float, float] = (1, 5),
    gap_ms: float = 0,
) -> Burst:
    """Connections that start staggered, so that completions are spread evenly; all else steady."""
    cycle = (response_ms + gap_ms) * MS
    each = int(seconds * SECOND / cycle)
    connection = np.tile(np.arange(concurrency), each)
    number = np.repeat(np.arange(each), concurrency)
    start = (number * cycle + connection * cycle / concurrency).astype(np.int64)
    return _burst(start, connection, response_ms, window, concurrency)


def open_loop(
    rate_rps: float = 100, concurrency: int = 4, response_ms: float = 10, seconds: float = 6
) -> Burst:
    """Requests at a constant rate, all sent when they are due, on connections in turn."""
    n = int(seconds * rate_rps)
    start = (np.arange(n) * SECOND / rate_rps).astype(np.int64)
    burst = _burst(start, np.arange(n) % concurrency, response_ms, (1, 5), concurrency)
    return replace(burst, rate_rps=rate_rps)


def with_outcomes(burst: Burst, outcomes: Mapping[int, RequestOutcome]) -> Burst:
    """The burst in which request number `i` ended as `outcomes[i]`."""
    outcome = burst.samples.outcome.copy()
    for i, o in outcomes.items():
        outcome[i] = o
    return replace(burst, samples=replace(burst.samples, outcome=outcome))


def ending(burst: Burst, replica: int, **values: int | None) -> Burst:
    """The burst whose replica ended with other counters."""
    end, changes = list(burst.counters_end), dict[str, Any](values)
    end[replica] = replace(end[replica], **changes)
    return replace(burst, counters_end=tuple(end))


def host_ending(
    burst: Burst, busy_ns: int = 3280 * MS, energy_uj: Mapping[str, tuple[int, int]] = ENERGY
) -> Burst:
    """The burst whose host ended with other counters."""
    assert burst.host_end is not None
    return replace(burst, host_end=replace(burst.host_end, busy_ns=busy_ns, energy_uj=energy_uj))


def _burst(
    start: np.ndarray[Any, np.dtype[np.int64]],
    connection: np.ndarray[Any, np.dtype[np.int64]],
    response_ms: float,
    window: tuple[float, float],
    concurrency: int,
) -> Burst:
    n = len(start)
    sent = RequestSamples(
        start_ns=start,
        delay_ns=np.zeros(n, np.int64),
        duration_ns=np.full(n, round(response_ms * MS), np.int64),
        status=np.full(n, 200, np.int16),
        outcome=np.zeros(n, np.int8),
        replica=(connection % 2).astype(np.int16),
        connection=connection.astype(np.int32),
        request=np.zeros(n, np.int32),
    )
    nothing: dict[str, int] = dict.fromkeys(_GROWN[1], 0)
    batches = np.arange(17) / 16
    used = np.array([float(grown["cpu_ns"]) for grown in _GROWN])
    clock = np.array(_STARTED) + _SECONDS * batches[:, None]
    return Burst(
        samples=sent,
        window_start_ns=round(window[0] * SECOND),
        window_end_ns=round(window[1] * SECOND),
        counters_start=tuple(counters(s, **nothing) for s in _STARTED),
        counters_end=tuple(
            counters(s + _SECONDS, **grown) for s, grown in zip(_STARTED, _GROWN, strict=True)
        ),
        cpu=CpuReadings(
            (clock * SECOND).astype(np.int64), (batches[:, None] * used).astype(np.int64)
        ),
        client_start=(ClientCounters(SECOND, 0, 0),),
        client_end=(ClientCounters(5 * SECOND, 100 * MS, 40 * MS),),
        host_start=HostCounters(
            SECOND, cpus=4, busy_ns=0, steal_ns=0, own_ns=0, energy_uj={"package-0": (0, 2**32)}
        ),
        # Busy with the replicas (3 s), the load engine (0.1 s), tune (0.02 s) and others (0.16 s).
        host_end=HostCounters(
            5 * SECOND,
            cpus=4,
            busy_ns=3280 * MS,
            steal_ns=80 * MS,
            own_ns=20 * MS,
            energy_uj=ENERGY,
        ),
        concurrency=concurrency,
        stop_reason="as asked",
        saved_seconds=4.0,
        client={"cpus": [1]},
    )
