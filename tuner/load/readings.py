"""The counters that are read at both ends of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.load.target import CpuTimes, Target
from tuner.load.ticks import Tick
from tuner.measure import proc
from tuner.measure.samples import ClientCounters, ContainerCounters, CpuReadings


@dataclass(frozen=True)
class WindowEnd:
    """All counters at one end of a window, each with its own time."""

    containers: tuple[ContainerCounters, ...]
    client: tuple[ClientCounters, ...]
    host: proc.HostCounters | None


def read_window_end(target: Target, pids: Sequence[int], tick: Tick) -> WindowEnd:
    """Read the counters, while the load goes on. `tick` has the CPU times of the senders `pids`."""
    containers = target.counters()
    tcp = proc.tcp_counters(pids[0])  # of the namespace that all senders are in
    client = tuple(
        ClientCounters(
            time_ns=time_ns,
            cpu_ns=cpu_ns,
            wait_ns=proc.wait_ns([pid]),
            retransmitted=tcp.retransmitted if tcp else None,
        )
        for pid, (time_ns, cpu_ns) in zip(pids, tick.senders, strict=True)
    )
    return WindowEnd(containers, client, proc.host_counters() if target.local else None)


def cpu_readings(rows: Sequence[CpuTimes]) -> CpuReadings:
    """`rows`, one of (timestamp, CPU time) pairs for each reading, as arrays."""
    array = np.array(rows, np.int64).reshape(len(rows), len(rows[0]), 2)
    return CpuReadings(time_ns=array[:, :, 0], cpu_ns=array[:, :, 1])
