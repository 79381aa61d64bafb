"""The causes that a configuration's counters can show, and from where on they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats

Truths = npt.NDArray[np.bool_]

MEMORY_PRESSURE, MAJOR_FAULTS, LIMIT_HITS = 5.0, 10.0, 1.0
"""Percent of the time, faults and hits per second from which on memory is short."""

RETRANSMITTED = 0.1
"""Percent of segments sent again: a loss costs at least 200 ms, Linux's least timeout, so that of
one in a thousand shows in an ART of milliseconds."""

THROTTLED = 20.0
"""Percent of the scheduler's periods in which a replica used up its CPU limit and had to stop."""

BUSY, WAITING = 90.0, 2.0
"""Requests queue where so many percent of the host or of the limits are in use, and a request takes
so many times the CPU time that it needs."""

OVERSIZED = 50.0
"""Percent of the CPU limits in use, up to which there is more than the load needs."""

MORE = 1.25
"""A counter is worse than that of those that dominate from so many times theirs on: counts of
events in a burst of seconds scatter."""

Table = Mapping[str, Floats]


@dataclass(frozen=True)
class Cause:
    """`holds` takes the counters of configurations and the medians of those that dominate them.

    `shown` are the counters that show it. A `spare` cause, that there is more than the load needs,
    is one only beside others of the same scenario, and also where it is as good within the noise.
    """

    name: str
    meaning: str
    shown: tuple[str, ...]
    holds: Callable[[Table, Table], Truths]
    spare: bool = False


def _worse(counter: str, least: float) -> Callable[[Table, Table], Truths]:
    def holds(own: Table, theirs: Table) -> Truths:
        usual = np.nan_to_num(theirs[counter], nan=0.0)
        worse: Truths = (own[counter] >= least) & (own[counter] >= MORE * usual)
        return worse

    return holds


def _memory(own: Table, theirs: Table) -> Truths:
    signs = (
        ("memory_pressure_percent", MEMORY_PRESSURE),
        ("major_faults_per_s", MAJOR_FAULTS),
        ("memory_limit_hits_per_s", LIMIT_HITS),
    )
    short: Truths = np.any([_worse(c, least)(own, theirs) for c, least in signs], axis=0)
    return short


def _queueing(own: Table, theirs: Table) -> Truths:
    busy = (own["host_busy_percent"] >= BUSY) | (own["limits_used_percent"] >= BUSY)
    queueing: Truths = busy & _worse("waiting", WAITING)(own, theirs)
    return queueing


def _oversized(own: Table, theirs: Table) -> Truths:
    spare = own["limits_used_percent"] <= OVERSIZED
    oversized: Truths = spare & (own["limit_cores"] >= MORE * theirs["limit_cores"])
    return oversized


def _busier(own: Table, theirs: Table) -> Truths:
    busier: Truths = own["throughput_rps"] >= MORE * theirs["throughput_rps"]
    return busier


def _overhead(own: Table, theirs: Table) -> Truths:
    costlier: Truths = own["cpu_ms_per_request"] >= MORE * theirs["cpu_ms_per_request"]
    return costlier


CAUSES = (
    Cause(
        "short of memory",
        "the server waits for memory: pages are read again from disk, or its limit is hit",
        ("memory_pressure_percent", "major_faults_per_s", "memory_limit_hits_per_s"),
        _memory,
    ),
    Cause(
        "retransmission",
        "lost packets are sent again, each after a timeout of 200 ms or more",
        ("retransmitted_percent",),
        _worse("retransmitted_percent", RETRANSMITTED),
    ),
    Cause(
        "throttled",
        "replicas use up their CPU limit and are stopped until the next period",
        ("throttled_percent", "limits_used_percent"),
        _worse("throttled_percent", THROTTLED),
    ),
    Cause(
        "queueing",
        "more requests are in flight than the CPUs at work can serve, so they wait",
        ("waiting", "host_busy_percent"),
        _queueing,
    ),
    Cause(
        "more load",
        "it serves more requests per second, and each takes CPU time",
        ("throughput_rps",),
        _busier,
    ),
    Cause(
        "idle replicas",
        "some replicas have no connection: they cost memory and serve nothing",
        ("idle_replicas",),
        _worse("idle_replicas", 1.0),
        spare=True,
    ),
    Cause(
        "oversized",
        "the CPU limits are more than the load uses",
        ("limits_used_percent", "limit_cores"),
        _oversized,
        spare=True,
    ),
    Cause(
        "costly requests",
        "each request takes more CPU time",
        ("cpu_ms_per_request",),
        _overhead,
    ),
)
"""By what costs most where several hold: memory stops everything, a lost packet costs 200 ms and
more, throttling up to a period of 100 ms, a queue its own length; what is spare costs least."""

NOISE, UNSTABLE, UNKNOWN = "within the noise", "unstable", "no counter says why"

MEANINGS: Mapping[str, str] = {
    **{c.name: c.meaning for c in CAUSES},
    NOISE: "its intervals overlap those of all that dominate it",
    UNSTABLE: "its bursts do not agree, so it is on no front",
    UNKNOWN: "none of these is worse than that of those that dominate it",
}
