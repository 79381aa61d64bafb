"""How much of the host others use: while a burst runs, and while nothing is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tuner.measure.proc import HostCounters, host_counters


@dataclass(frozen=True)
class HostUse:
    """Shares of the CPU time of the whole host, in percent.

    `foreign_percent` is what processes used that have no part in a measurement. `steal_percent` is
    what a hypervisor gave to other machines.
    """

    foreign_percent: float
    steal_percent: float


def host_use(before: HostCounters, after: HostCounters, ours_ns: float) -> HostUse:
    """Between two readings, of which `ours_ns` is the CPU time of replicas and load engine.

    The CPU time of this process, which both readings have, is not foreign either.
    """
    whole = (after.time_ns - before.time_ns) * after.cpus
    ours = ours_ns + after.own_ns - before.own_ns
    foreign = max(0.0, after.busy_ns - before.busy_ns - ours)
    return HostUse(100 * foreign / whole, 100 * (after.steal_ns - before.steal_ns) / whole)


def watch_host(
    seconds: float,
    read: Callable[[], HostCounters | None] = host_counters,
    sleep: Callable[[float], None] = time.sleep,
) -> HostUse | None:
    """Who uses this host in the next `seconds`, while nothing is measured; None without proc(5).

    Replicas that are up and get no requests count as foreign: they use next to nothing.
    """
    before = read()
    sleep(seconds)
    after = read()
    return None if before is None or after is None else host_use(before, after, 0)
