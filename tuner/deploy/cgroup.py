"""A container's own counters and limits, from its control group's files or from the engine.

The files are read where the engine runs on this machine: they are exact at the moment of the
reading and cost some 0.1 ms. The engine's statistics call is the fallback (Docker Desktop).
Kernel documentation: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from tuner.measure.samples import ContainerCounters

_ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""cgroup v1 writes "no limit" as the largest multiple of a page; anything near it means none."""


@dataclass(frozen=True)
class Limits:
    """What the kernel enforces; None where there is no limit. CPU in cores, memory in bytes."""

    cpu: float | None
    memory_bytes: int | None
    swap_bytes: int | None


@dataclass(frozen=True)
class CgroupV1:
    """The directories of one container's controllers."""

    cpu: Path
    cpuacct: Path
    memory: Path

    def counters(self) -> ContainerCounters:
        cpu_ns = int((self.cpuacct / "cpuacct.usage").read_text())
        now = time.monotonic_ns()
        throttling = _table(self.cpu / "cpu.stat")
        memory = _table(self.memory / "memory.stat")
        oom = _table(self.memory / "memory.oom_control")
        return ContainerCounters(
            time_ns=now,
            cpu_ns=cpu_ns,
            periods=throttling.get("nr_periods", 0),
            throttled_periods=throttling.get("nr_throttled", 0),
            throttled_ns=throttling.get("throttled_time", 0),
            memory_peak_bytes=int((self.memory / "memory.max_usage_in_bytes").read_text()),
            memory_limit_hits=int((self.memory / "memory.failcnt").read_text()),
            oom_kills=oom.get("oom_kill", 0),
            major_faults=memory.get("total_pgmajfault", memory.get("pgmajfault", 0)),
            source="cgroup v1",
        )

    def limits(self) -> Limits:
        quota = int((self.cpu / "cpu.cfs_quota_us").read_text())
        period = int((self.cpu / "cpu.cfs_period_us").read_text())
        memory = _limit((self.memory / "memory.limit_in_bytes").read_text())
        both = self.memory / "memory.memsw.limit_in_bytes"
        swap = None
        if both.exists() and memory is not None:
            total = _limit(both.read_text())
            swap = None if total is None else total - memory
        elif not both.exists() and not _host_swap():
            swap = 0
        return Limits(None if quota < 0 else quota / period, memory, swap)


@dataclass(frozen=True)
class CgroupV2:
    """The one directory of a container in the unified hierarchy."""

    path: Path

    def counters(self) -> ContainerCounters:
        cpu = _table(self.path / "cpu.stat")
        now = time.monotonic_ns()
        memory = _table(self.path / "memory.stat")
        events = _table(self.path / "memory.events")
        peak = self.path / "memory.peak"  # since Linux 5.19
        current = self.path / "memory.current"
        return ContainerCounters(
            time_ns=now,
            cpu_ns=cpu["usage_usec"] * 1000,
            periods=cpu.get("nr_periods", 0),
            throttled_periods=cpu.get("nr_throttled", 0),
            throttled_ns=cpu.get("throttled_usec", 0) * 1000,
            memory_peak_bytes=int((peak if peak.exists() else current).read_text()),
            memory_limit_hits=events.get("max", 0),
            oom_kills=events.get("oom_kill", 0),
            major_faults=memory.get("pgmajfault", 0),
            source="cgroup v2",
        )

    def limits(self) -> Limits:
        quota, period = (self.path / "cpu.max").read_text().split()
        swap = self.path / "memory.swap.max"
        return Limits(
            None if quota == "max" else int(quota) / int(period),
            _limit((self.path / "memory.max").read_text()),
            _limit(swap.read_text()) if swap.exists() else 0 if not _host_swap() else None,
        )


@dataclass(frozen=True)
class EngineStatistics:
    """The engine's statistics call, and the limits that it says it set."""

    container: Container

    def counters(self) -> ContainerCounters:
        reply = self.container.stats(stream=False, one_shot=True)
        assert isinstance(reply, dict)
        return from_statistics(reply)

    def limits(self) -> Limits:
        self.container.reload()
        host = self.container.attrs["HostConfig"]
        memory = host["Memory"] or None
        both = host["MemorySwap"]
        swap = both - memory if memory is not None and both > 0 else None
        return Limits(host["NanoCpus"] / 1e9 or None, memory, swap)


Source = CgroupV1 | CgroupV2 | EngineStatistics


def counter_source(container: Container, root: Path = _ROOT) -> Source:
    """The best source for a running container.

    The files are used when the process that the engine names belongs, on this machine, to a
    control group that carries the container's id.
    """
    pid = container.attrs["State"]["Pid"]
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines() if pid else []
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        lines = []
    groups = parse_proc_cgroup(lines)
    if not any(str(container.id) in path for path in groups.values()):
        return EngineStatistics(container)
    if "memory" in groups:
        v1 = CgroupV1(*(_controller(root, groups, name) for name in ("cpu", "cpuacct", "memory")))
        return v1 if v1.memory.exists() else EngineStatistics(container)
    v2 = CgroupV2(root / groups[""].lstrip("/"))
    return v2 if (v2.path / "memory.max").exists() else EngineStatistics(container)


def parse_proc_cgroup(lines: list[str]) -> dict[str, str]:
    """`/proc/<pid>/cgroup` as controller -> path; the unified hierarchy has the name "".

    See cgroups(7), "/proc files".
    """
    groups: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def from_statistics(reply: dict[str, Any]) -> ContainerCounters:
    """The engine's `GET /containers/<id>/stats` reply as counters."""
    cpu = reply["cpu_stats"]
    throttling = cpu.get("throttling_data", {})
    memory = reply.get("memory_stats", {})
    details = memory.get("stats", {})
    read = datetime.fromisoformat(reply["read"])
    return ContainerCounters(
        time_ns=int(read.timestamp() * 1e9),
        cpu_ns=cpu["cpu_usage"]["total_usage"],
        periods=throttling.get("periods", 0),
        throttled_periods=throttling.get("throttled_periods", 0),
        throttled_ns=throttling.get("throttled_time", 0),
        memory_peak_bytes=memory.get("max_usage", memory.get("usage", 0)),
        memory_limit_hits=memory.get("failcnt", 0),
        oom_kills=0,  # not in the reply; the container's state says whether it was killed
        major_faults=details.get("total_pgmajfault", details.get("pgmajfault", 0)),
        source="engine statistics",
    )


def _controller(root: Path, groups: dict[str, str], name: str) -> Path:
    return root / name / groups[name].lstrip("/")


def _table(path: Path) -> dict[str, int]:
    """A file of `name value` lines."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _limit(text: str) -> int | None:
    text = text.strip()
    return None if text == "max" or int(text) >= _UNLIMITED else int(text)


def _host_swap() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1
