"""The counters that are read at both ends of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.load.engine_process import Engine
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


def read_window_end(target: Target, engines: Sequence[Engine], tick: Tick) -> WindowEnd:
    """Read the counters, while the load goes on. `tick` has the CPU times of the `engines`."""
    containers = target.counters()
    client = tuple(
        ClientCounters(time_ns, cpu_ns, engine.wait_ns())
        for engine, (time_ns, cpu_ns) in zip(engines, tick.senders, strict=True)
    )
    return WindowEnd(containers, client, proc.host_counters() if target.local else None)


def cpu_readings(rows: Sequence[CpuTimes]) -> CpuReadings:
    """`rows`, one of (timestamp, CPU time) pairs for each reading, as arrays."""
    array = np.array(rows, np.int64).reshape(len(rows), len(rows[0]), 2)
    return CpuReadings(time_ns=array[:, :, 0], cpu_ns=array[:, :, 1])
