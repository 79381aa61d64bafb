"""How much CPU and memory this process may use."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

_MEBIBYTE = 2**20


def cpu_limit(cgroup: Path = CGROUP) -> float:
    """Cores that the control group's quota (v1 or v2) and the CPU affinity leave, above zero."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = _quota(cgroup)
    return cores if quota is None else min(cores, quota)


def memory_limit(cgroup: Path = CGROUP) -> int:
    """Bytes that the control group (v1 or v2) and the machine's memory leave."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = cgroup / name
        if path.is_file():
            text = path.read_text().strip()
            return machine if text == "max" else min(machine, int(text))
    return machine


def body_limit(memory: int) -> int:
    """The default for the largest request body, in bytes, where `memory` bytes may be used.

    A body of JSON can become some 25 times its size in Python objects, so a larger one could end
    the process.
    """
    return max(_MEBIBYTE, min(64 * _MEBIBYTE, memory // 32))


def _quota(cgroup: Path) -> float | None:
    unified = cgroup / "cpu.max"
    if unified.is_file():
        quota, period = unified.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    for name in ("cpu", "cpu,cpuacct"):
        first = cgroup / name / "cpu.cfs_quota_us"
        if first.is_file():
            period = (cgroup / name / "cpu.cfs_period_us").read_text()
            quota_us = int(first.read_text())
            return None if quota_us <= 0 else quota_us / int(period)
    return None
