"""A container's counters and limits, from the files of its control group.

They can be read where the engine runs on this machine, and are exact at the moment of the reading.
Kernel documentation: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

from tuner.deploy.ending import MemoryCount
from tuner.measure.proc import PROC, link_counters, pressure_ns, tcp_counters, wait_ns
from tuner.measure.samples import ContainerCounters

_ROOT = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpu", "cpuacct", "memory")
_UNLIMITED = 2**60
"""cgroup v1 writes "no limit" as the largest multiple of a page. A limit near it is none."""


@dataclass(frozen=True)
class Limits:
    """The limits that the kernel enforces: CPU in cores, memory in bytes, None for no limit."""

    cpu: float | None
    memory_bytes: int | None
    swap_bytes: int | None


@dataclass(frozen=True)
class Around:
    """Where the kernel counts more about a container's processes than in the control group's files.

    `processes` is the file with their ids, and `pid` one of them, for the network namespace.
    `pressure` is the directory with the pressure files, None where there is none.
    """

    processes: Path
    pid: int
    pressure: Path | None
    proc: Path = PROC

    def counters(self) -> dict[str, int | None]:
        """The fields of ContainerCounters from these files; None for what the kernel lacks."""
        fields: dict[str, int | None] = {
            "wait_ns": wait_ns(map(int, self.processes.read_text().split()), self.proc)
        }
        if counted := link_counters(self.pid, self.proc):
            fields |= vars(counted)
        if sent := tcp_counters(self.pid, self.proc):
            fields |= vars(sent)
        if self.pressure is not None:
            for name in ("cpu", "memory", "io"):
                fields[f"{name}_pressure_ns"] = pressure_ns(self.pressure / f"{name}.pressure")
        return fields

    def stopped(self) -> bool:
        """Whether a signal (or a debugger) halts one of the processes."""
        states = (_process_state(int(pid), self.proc) for pid in self.processes.read_text().split())
        return any(state in {"T", "t"} for state in states)


@dataclass(frozen=True)
class CgroupV1:
    """The directories of one container's controllers."""

    cpu: Path
    cpuacct: Path
    memory: Path
    around: Around

    name = "cgroup v1"

    def cpu_time(self) -> tuple[int, int]:
        """(Timestamp, CPU time since its start), both in ns."""
        cpu_ns = int((self.cpuacct / "cpuacct.usage").read_text())
        return time.monotonic_ns(), cpu_ns

    def counters(self) -> ContainerCounters:
        now, cpu_ns = self.cpu_time()
        throttling = _table(self.cpu / "cpu.stat")
        memory = _table(self.memory / "memory.stat")
        return ContainerCounters(
            time_ns=now,
            cpu_ns=cpu_ns,
            periods=throttling.get("nr_periods", 0),
            throttled_periods=throttling.get("nr_throttled", 0),
            throttled_ns=throttling.get("throttled_time", 0),
            memory_peak_bytes=int((self.memory / "memory.max_usage_in_bytes").read_text()),
            memory_limit_hits=int((self.memory / "memory.failcnt").read_text()),
            oom_kills=self.oom_kills(),
            major_faults=memory.get("total_pgmajfault", memory.get("pgmajfault", 0)),
            source=self.name,
            **self.around.counters(),
        )

    def oom_kills(self) -> int:
        return _table(self.memory / "memory.oom_control").get("oom_kill", 0)

    def memory_count(self) -> MemoryCount | None:
        """What tells whether it ran out of memory."""
        return MemoryCount(
            self.oom_kills(),
            int((self.memory / "memory.failcnt").read_text()),
            int((self.memory / "memory.max_usage_in_bytes").read_text()),
            _limit((self.memory / "memory.limit_in_bytes").read_text()),
        )

    def stopped(self) -> bool:
        """Whether a signal halts one of its processes."""
        return self.around.stopped()

    def forget_peak(self) -> bool:
        """Count the memory peak anew from now on. Returns whether this process may do that."""
        try:
            (self.memory / "memory.max_usage_in_bytes").write_text("0")
        except OSError:  # not root's process, or a mount that is read-only
            return False
        return True

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
    around: Around

    name = "cgroup v2"

    def cpu_time(self) -> tuple[int, int]:
        """(Timestamp, CPU time since its start), both in ns."""
        cpu_ns = _table(self.path / "cpu.stat")["usage_usec"] * 1000
        return time.monotonic_ns(), cpu_ns

    def counters(self) -> ContainerCounters:
        cpu = _table(self.path / "cpu.stat")
        now = time.monotonic_ns()
        memory = _table(self.path / "memory.stat")
        return ContainerCounters(
            time_ns=now,
            cpu_ns=cpu["usage_usec"] * 1000,
            periods=cpu.get("nr_periods", 0),
            throttled_periods=cpu.get("nr_throttled", 0),
            throttled_ns=cpu.get("throttled_usec", 0) * 1000,
            memory_peak_bytes=self._peak_bytes(),
            memory_limit_hits=_table(self.path / "memory.events").get("max", 0),
            oom_kills=self.oom_kills(),
            major_faults=memory.get("pgmajfault", 0),
            source=self.name,
            **self.around.counters(),
        )

    def oom_kills(self) -> int:
        return _table(self.path / "memory.events").get("oom_kill", 0)

    def memory_count(self) -> MemoryCount | None:
        """As `CgroupV1.memory_count`."""
        return MemoryCount(
            self.oom_kills(),
            _table(self.path / "memory.events").get("max", 0),
            self._peak_bytes(),
            _limit((self.path / "memory.max").read_text()),
        )

    def stopped(self) -> bool:
        """Whether a signal halts one of its processes."""
        return self.around.stopped()

    def _peak_bytes(self) -> int:
        peak = self.path / "memory.peak"  # since Linux 5.19
        return int((peak if peak.exists() else self.path / "memory.current").read_text())

    def forget_peak(self) -> bool:
        """False: the kernel (since Linux 6.12) counts it anew for one open file only."""
        return False

    def limits(self) -> Limits:
        quota, period = (self.path / "cpu.max").read_text().split()
        swap = self.path / "memory.swap.max"
        return Limits(
            None if quota == "max" else int(quota) / int(period),
            _limit((self.path / "memory.max").read_text()),
            _limit(swap.read_text()) if swap.exists() else 0 if not _host_swap() else None,
        )


def files_of(container: Container, root: Path = _ROOT) -> CgroupV1 | CgroupV2 | None:
    """The files of a running container; None where this machine does not have them.

    This machine has them where the process that the engine names belongs to a control group with
    the container's id.
    """
    pid = container.attrs["State"]["Pid"]
    try:
        lines = (PROC / str(pid) / "cgroup").read_text().splitlines() if pid else []
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        lines = []
    groups = parse_proc_cgroup(lines)
    if not any(str(container.id) in path for path in groups.values()):
        return None
    return _files(groups, pid, root)


def control_group(path: str, root: Path = _ROOT) -> CgroupV1 | CgroupV2 | None:
    """The files of the control group at `path`, as in `/proc/<pid>/cgroup`; None where there are
    none, or no process is in it.
    """
    for processes in (root / "memory", root):
        try:
            ids = (_directory(processes, path) / "cgroup.procs").read_text().split()
        except OSError:
            continue
        if ids:
            groups = dict.fromkeys((*V1_CONTROLLERS, ""), path)
            return _files(groups if processes != root else {"": path}, int(ids[0]), root)
    return None


def _files(groups: dict[str, str], pid: int, root: Path) -> CgroupV1 | CgroupV2 | None:
    if "memory" in groups:
        cpu, cpuacct, memory = (_directory(root / name, groups[name]) for name in V1_CONTROLLERS)
        # On a hybrid host the unified hierarchy has no controllers but the pressure files.
        unified = _directory(root / "unified", groups.get("", "/"))
        pressure = unified if (unified / "cpu.pressure").exists() else None
        around = Around(memory / "cgroup.procs", pid, pressure)
        return CgroupV1(cpu, cpuacct, memory, around) if memory.exists() else None
    path = _directory(root, groups[""])
    v2 = CgroupV2(path, Around(path / "cgroup.procs", pid, path))
    return v2 if (path / "memory.max").exists() else None


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


def _process_state(pid: int, proc: Path) -> str:
    """Its state by proc(5), such as R, S or T; empty where it has ended."""
    try:
        # The command name, before the last ")", may hold anything.
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _directory(hierarchy: Path, group: str) -> Path:
    return hierarchy / group.lstrip("/")


def _table(path: Path) -> dict[str, int]:
    """A file of `name value` lines."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _limit(text: str) -> int | None:
    text = text.strip()
    return None if text == "max" or int(text) >= _UNLIMITED else int(text)


def host_oom_kills(proc: Path = PROC) -> int | None:
    """How many processes of this host the kernel's OOM killer ended since the boot.

    It outlives a container's files. None where the kernel (before Linux 4.13) does not count them.
    """
    try:
        return _table(proc / "vmstat").get("oom_kill")
    except OSError:
        return None


def _host_swap() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1
