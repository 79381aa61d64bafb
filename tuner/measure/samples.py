"""The raw data of a burst: request samples, its window, and counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tuner.measure.proc import HostCounters
from tuner.spec.metrics import LATE_NS


class RequestOutcome(IntEnum):
    """How one request ended. All but OK count as errors. None is left out."""

    OK = 0
    HTTP_ERROR = 1
    TIMEOUT = 2
    RESET = 3
    WRONG_ANSWER = 4
    NOT_SENT = 5
    """It was due in an open loop, and still waited for a connection when the burst ended."""


@dataclass(frozen=True, eq=False)
class RequestSamples:
    """Requests of one burst as parallel arrays of shape (n,), in order of completion.

    Times are nanoseconds of the monotonic clock; `start_ns` is when the request should have been
    sent and `delay_ns` how much later it was. `status` is the HTTP status: 0 where none came, for
    gRPC the one that its code stands for. `outcome` is a `RequestOutcome`, `request` the index of
    the input that was sent. `replica` and `connection` count from 0; they are -1 for a request that
    was not sent.
    """

    start_ns: npt.NDArray[np.int64]
    delay_ns: npt.NDArray[np.int64]
    duration_ns: npt.NDArray[np.int64]
    status: npt.NDArray[np.int16]
    outcome: npt.NDArray[np.int8]
    replica: npt.NDArray[np.int16]
    connection: npt.NDArray[np.int32]
    request: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start_ns)

    def select(self, rows: npt.NDArray[np.bool_ | np.intp]) -> RequestSamples:
        """The samples where a mask, of shape (n,), is true, or at positions, in that order."""
        return RequestSamples(
            *(getattr(self, name)[rows] for name in RequestSamples.__dataclass_fields__)
        )


@dataclass(frozen=True)
class ContainerCounters:
    """One container's counters at `time_ns`, counted since its start.

    `time_ns` is taken as close to the reading as the source allows, on any one clock: only
    differences are used. `source` names the source, such as `cgroup v1`. A counter that it lacks
    is None.
    """

    time_ns: int
    cpu_ns: int
    periods: int
    throttled_periods: int
    throttled_ns: int
    memory_peak_bytes: int
    memory_limit_hits: int
    oom_kills: int
    major_faults: int
    source: str
    wait_ns: int | None = None
    """The time that its threads were ready to run and waited for a CPU (schedstat)."""
    received_bytes: int | None = None
    sent_bytes: int | None = None
    segments_sent: int | None = None
    """TCP segments, retransmitted ones included."""
    retransmitted: int | None = None
    """TCP segments sent again."""
    cpu_pressure_ns: int | None = None
    """The time in which a task of it waited for a CPU; see the kernel's accounting/psi.rst."""
    memory_pressure_ns: int | None = None
    io_pressure_ns: int | None = None


@dataclass(frozen=True, eq=False)
class CpuReadings:
    """CPU time of every replica, read at the window's start and at the end of each batch.

    Arrays of shape (batches + 1, replicas): each reading's own timestamp and the CPU time since
    the container's start.
    """

    time_ns: npt.NDArray[np.int64]
    cpu_ns: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClientCounters:
    """One sender at `time_ns`: its CPU time, and the time that it waited for a CPU.

    That is None where it cannot be read.
    """

    time_ns: int
    cpu_ns: int
    wait_ns: int | None = None


@dataclass(frozen=True)
class Drops:
    """The packets in one direction of one replica's link, and how many of them were dropped."""

    replica: int
    direction: Literal["in", "out"]
    asked_percent: float
    packets: int
    dropped: int


@dataclass(frozen=True, eq=False)
class Burst:
    """All that one burst says; `measure_burst` needs nothing else.

    A request belongs to the window if it completes inside [`window_start_ns`, `window_end_ns`), on
    the clock of `samples`. Counters are one per replica, read at both ends of the window.
    `host_start` and `host_end` are None where the containers run on another machine than the load
    engine. `client_start` and `client_end` are those of each sender. `rate_rps` is that of an open
    loop. `client` says where the load engine ran (its CPUs, priority, network namespace).
    """

    samples: RequestSamples
    window_start_ns: int
    window_end_ns: int
    counters_start: tuple[ContainerCounters, ...]
    counters_end: tuple[ContainerCounters, ...]
    cpu: CpuReadings
    client_start: tuple[ClientCounters, ...]
    client_end: tuple[ClientCounters, ...]
    host_start: HostCounters | None
    host_end: HostCounters | None
    concurrency: int
    stop_reason: str
    """Why the window ended, in words."""
    saved_seconds: float = 0.0
    """How much earlier than its limit the window ended; of a pruned burst, than expected."""
    cut_short: str = ""
    """Why the burst was pruned; empty where it was not."""
    rate_rps: float | None = None
    lossy: bool = False
    client: Mapping[str, Any] = field(default_factory=dict)


def late_requests(burst: Burst) -> npt.NDArray[np.bool_]:
    """Which samples were due in the window and not sent on time, shape (n,)."""
    samples = burst.samples
    due = (samples.start_ns >= burst.window_start_ns) & (samples.start_ns < burst.window_end_ns)
    late: npt.NDArray[np.bool_] = (samples.delay_ns > LATE_NS) | (
        samples.outcome == RequestOutcome.NOT_SENT
    )
    return np.logical_and(due, late)
