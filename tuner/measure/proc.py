"""Counters of processes, network namespaces and the whole machine, from proc(5)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tuner.measure.powercap import energy

PROC = Path("/proc")
SYS = Path("/sys")


@dataclass(frozen=True)
class HostCounters:
    """A machine at `time_ns` (monotonic clock), all its CPUs together.

    `busy_ns` is the time in which they ran processes, without interrupts, which kernels charge
    differently. `steal_ns` is the time that a hypervisor withheld, `own_ns` the CPU time of this
    process. `energy_uj` maps a RAPL domain to (counter in microjoules, value after which it
    restarts from 0); it is empty without RAPL.
    """

    time_ns: int
    cpus: int
    busy_ns: int
    steal_ns: int
    own_ns: int
    energy_uj: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkCounters:
    """Bytes that the interfaces of a network namespace received and sent.

    Without `lo`, and without `ifb`, which passes on what another interface has already counted.
    """

    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class TcpCounters:
    """TCP segments that a network namespace sent, and how many of these were retransmitted."""

    segments_sent: int
    retransmitted: int


def cpu_model(proc: Path = PROC) -> str | None:
    """The name of this machine's processors; None where the kernel does not give it (Arm)."""
    match = re.search(r"(?m)^model name\s*:\s*(.+)$", (proc / "cpuinfo").read_text())
    return match[1].strip() if match else None


def wait_ns(pids: Iterable[int], proc: Path = PROC) -> int | None:
    """The time that all threads of these processes were ready to run and waited for a CPU.

    None where the kernel does not count it (see its Documentation/scheduler/sched-stats.rst). The
    time of a thread that has ended is left out.
    """
    total, counted = 0, False
    for pid in pids:
        try:
            threads = list((proc / str(pid) / "task").iterdir())
        except OSError:
            continue
        for thread in threads:
            try:
                _, waited, turns = map(int, (thread / "schedstat").read_text().split())
            except OSError:
                continue
            # 0: a thread that never ran, or a kernel before 5.14 with its accounting off.
            if turns:
                total, counted = total + waited, True
    return total if counted else None


def link_counters(pid: int, proc: Path = PROC) -> LinkCounters | None:
    """Traffic in the process's network namespace; None where it cannot be read."""
    try:
        lines = (proc / str(pid) / "net/dev").read_text().splitlines()[2:]
    except OSError:
        return None
    received = sent = 0
    for line in lines:
        name, _, columns = line.partition(":")
        if not re.fullmatch(r"lo|ifb\d+", name.strip()):
            numbers = columns.split()
            received += int(numbers[0])
            sent += int(numbers[8])
    return LinkCounters(received, sent)


def tcp_counters(pid: int, proc: Path = PROC) -> TcpCounters | None:
    """TCP segments in the process's network namespace; None where they cannot be read.

    The kernel counts a retransmitted segment only in `RetransSegs` (RFC 1213, tcpOutSegs), so the
    segments sent are the sum of both counters.
    """
    try:
        lines = (proc / str(pid) / "net/snmp").read_text().splitlines()
    except OSError:
        return None
    names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
    table = dict(zip(names, map(int, values), strict=True))
    return TcpCounters(table["OutSegs"] + table["RetransSegs"], table["RetransSegs"])


def pressure_ns(file: Path) -> int | None:
    """The time in which at least one task waited: `some` of a pressure file, in total.

    None where the kernel does not count it. See its Documentation/accounting/psi.rst.
    """
    try:
        first = file.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    return int(first.rpartition("total=")[2]) * 1000


def host_counters(proc: Path = PROC, sys: Path = SYS) -> HostCounters | None:
    """The machine now; None where there is no proc(5)."""
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return None
    now = time.perf_counter_ns()
    # user nice system idle iowait irq softirq steal; guest time is in user and nice already.
    user, nice, system, *_, steal = (int(n) for n in lines[0].split()[1:9])
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return HostCounters(
        time_ns=now,
        cpus=sum(re.match(r"cpu\d", line) is not None for line in lines),
        busy_ns=(user + nice + system) * tick_ns,
        steal_ns=steal * tick_ns,
        own_ns=time.process_time_ns(),
        energy_uj=energy(sys),
    )
