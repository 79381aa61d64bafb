"""What a burst leaves behind: request samples, the window, and the containers' counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Outcome(IntEnum):
    """How one request ended. Everything but OK counts as an error; none is dropped."""

    OK = 0
    HTTP_ERROR = 1
    TIMEOUT = 2
    RESET = 3
    WRONG_ANSWER = 4


@dataclass(frozen=True, eq=False)
class RequestSamples:
    """Requests of one burst as parallel arrays of shape (n,), in order of completion.

    Times are nanoseconds of the monotonic clock; `start_ns` is when the request should have been
    sent. `status` is the HTTP status (0 where none came), `outcome` an `Outcome`, `replica` and
    `connection` count from 0, `request` is the index of the input that was sent.
    """

    start_ns: npt.NDArray[np.int64]
    duration_ns: npt.NDArray[np.int64]
    status: npt.NDArray[np.int16]
    outcome: npt.NDArray[np.int8]
    replica: npt.NDArray[np.int16]
    connection: npt.NDArray[np.int32]
    request: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start_ns)

    def select(self, mask: npt.NDArray[np.bool_]) -> RequestSamples:
        """The samples where `mask`, shape (n,), holds."""
        return RequestSamples(
            *(getattr(self, name)[mask] for name in RequestSamples.__dataclass_fields__)
        )


@dataclass(frozen=True)
class ContainerCounters:
    """One container's own counters at `time_ns`; all but `time_ns` count since its start.

    `time_ns` is the counter's own timestamp on any one clock (only differences are used), taken
    as near to the reading as the source allows. `source` names it (`cgroup v1`, `docker api`).
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


@dataclass(frozen=True, eq=False)
class Burst:
    """All that one burst says; `measure` needs nothing else.

    A request belongs to the window when it completes inside [`window_start_ns`,
    `window_end_ns`), on the clock of `samples`. Counters are one per replica, read at the
    window's two ends.
    """

    samples: RequestSamples
    window_start_ns: int
    window_end_ns: int
    counters_start: tuple[ContainerCounters, ...]
    counters_end: tuple[ContainerCounters, ...]
    client_cpu_ns: int
    """CPU time of the load generator within the window."""
    concurrency: int
    stop_reason: str
    """Why the window ended, in words."""
