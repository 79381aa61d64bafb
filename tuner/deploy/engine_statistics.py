"""A container's counters from the engine's statistics call, for an engine on another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from docker.models.containers import Container

from tuner.deploy.cgroup import CgroupV1, CgroupV2, Limits, files_of
from tuner.deploy.ending import MemoryCount
from tuner.measure.samples import ContainerCounters


@dataclass
class EngineStatistics:
    """Counters from the statistics call, and the limits that the engine reports.

    The engine counts once a second, and the call waits for that. Timestamps are the engine's. For
    a container that has ended it raises OSError, as files do. It has no counters of TCP, of
    pressure, or of the time that threads waited for a CPU.
    """

    container: Container

    _last: ContainerCounters | None = field(default=None, repr=False)

    name: ClassVar[str] = "engine statistics"

    def cpu_time(self) -> tuple[int, int]:
        """(Timestamp, CPU time since its start) in ns, from the last reading by `counters`.

        A reading of its own would wait up to a second.
        """
        last = self._last or self.counters()
        return last.time_ns, last.cpu_ns

    def counters(self) -> ContainerCounters:
        self._last = from_statistics(self._reply())
        return self._last

    def memory_count(self) -> MemoryCount | None:
        """From the last reading by `counters`; None before it. OOM kills are not in the reply."""
        last = self._last
        if last is None:
            return None
        limit = self.container.attrs["HostConfig"]["Memory"] or None
        return MemoryCount(0, last.memory_limit_hits, last.memory_peak_bytes, limit)

    def stopped(self) -> bool:
        """False: its processes are on another machine."""
        return False

    def forget_peak(self) -> bool:
        return False

    def limits(self) -> Limits:
        self.container.reload()
        host = self.container.attrs["HostConfig"]
        memory = host["Memory"] or None
        both = host["MemorySwap"]
        swap = both - memory if memory is not None and both > 0 else None
        return Limits(host["NanoCpus"] / 1e9 or None, memory, swap)

    def _reply(self) -> dict[str, Any]:
        reply = self.container.stats(stream=False, one_shot=True)
        assert isinstance(reply, dict)
        if reply["read"].startswith("0001-"):
            raise ProcessLookupError("the container has ended, so it has no statistics")
        return reply


CounterSource = CgroupV1 | CgroupV2 | EngineStatistics


def counter_source(container: Container) -> CounterSource:
    """The best source for a running container."""
    return files_of(container) or EngineStatistics(container)


def from_statistics(reply: dict[str, Any]) -> ContainerCounters:
    """The engine's `GET /containers/<id>/stats` reply as counters."""
    cpu = reply["cpu_stats"]
    throttling = cpu.get("throttling_data", {})
    memory = reply.get("memory_stats", {})
    details = memory.get("stats", {})
    links = reply.get("networks")
    return ContainerCounters(
        time_ns=_time_ns(reply),
        cpu_ns=cpu["cpu_usage"]["total_usage"],
        periods=throttling.get("periods", 0),
        throttled_periods=throttling.get("throttled_periods", 0),
        throttled_ns=throttling.get("throttled_time", 0),
        memory_peak_bytes=memory.get("max_usage", memory.get("usage", 0)),
        memory_limit_hits=memory.get("failcnt", 0),
        oom_kills=0,  # see EngineStatistics.memory_count
        major_faults=details.get("total_pgmajfault", details.get("pgmajfault", 0)),
        source=EngineStatistics.name,
        received_bytes=links and sum(link["rx_bytes"] for link in links.values()),
        sent_bytes=links and sum(link["tx_bytes"] for link in links.values()),
    )


def _time_ns(reply: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(reply["read"]).timestamp() * 1e9)
