"""How much CPU this process may use."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_limit(cgroup: Path = CGROUP) -> float:
    """Cores that the control group's quota (v1 or v2) and the CPU affinity leave, above zero."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = _quota(cgroup)
    return cores if quota is None else min(cores, quota)


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
