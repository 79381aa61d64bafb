"""A container's counters from the engine's stream of statistics: a reading every second.

For engines on other machines, where a replica is measured for some seconds: the streams of all
replicas are open meanwhile, so a reading costs no call of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import Any

from docker.models.containers import Container

from tuner.deploy.cgroup import Limits
from tuner.deploy.ending import MemoryCount
from tuner.deploy.engine_client import FAULTS, engine_reason
from tuner.deploy.engine_statistics import EngineStatistics, from_statistics
from tuner.errors import TuneError

_SILENCE_SECONDS = 10.0
"""An engine that sends nothing for so long does not send any more."""

_FRESH_SECONDS = 0.25
"""A reading that came so short ago is as good as the next one."""

_SERIES_SECONDS = 2.5
"""Who reads CPU times reads them more often than that. After a longer pause a series begins."""


@dataclass
class _Readings:
    """What the stream sent last, when it came by `time.monotonic()`, and why no more will come."""

    changed: Condition = field(default_factory=Condition)
    reply: dict[str, Any] | None = None
    came: float = 0.0
    ended: str = ""
    abandoned: bool = False


@dataclass
class StatisticsStream(EngineStatistics):
    """As `EngineStatistics`, from a stream that `statistics_streams` reads.

    `counters` waits for a reading that is fresh, so it takes up to a second. `cpu_time` takes the
    last one, which is up to a second old, and has its timestamp; only where nobody asked for a
    while it waits for a fresh one. Memory limits are the kernel's own where the engine sends them.
    """

    _readings: _Readings = field(default_factory=_Readings, repr=False)
    _asked: float = field(default=0.0, repr=False)

    def cpu_time(self) -> tuple[int, int]:
        now = time.monotonic()
        begins, self._asked = now - self._asked > _SERIES_SECONDS, now
        if begins:
            self.counters()
        counted = from_statistics(self._within(_SILENCE_SECONDS))
        return counted.time_ns, counted.cpu_ns

    def memory_count(self) -> MemoryCount | None:
        reply = self._readings.reply
        if reply is not None and _is_running(reply):
            self._last = from_statistics(reply)
        return super().memory_count()

    def limits(self) -> Limits:
        told = super().limits()
        memory = self._within(0.0).get("memory_stats", {})
        limit, both = memory.get("limit"), memory.get("stats", {}).get("hierarchical_memsw_limit")
        if told.memory_bytes is None or not limit:
            return told
        swap = told.swap_bytes if both is None else both - limit  # only cgroup v1 says it
        return replace(told, memory_bytes=limit, swap_bytes=swap)

    def _reply(self) -> dict[str, Any]:
        return self._within(_FRESH_SECONDS)

    def _within(self, seconds: float) -> dict[str, Any]:
        """A reading that came at most so long ago. Raises OSError where none comes any more."""
        readings, asked = self._readings, time.monotonic()

        def there() -> bool:
            new = readings.reply is not None and readings.came >= asked - seconds
            return new or bool(readings.ended)

        with readings.changed:
            if not readings.changed.wait_for(there, _SILENCE_SECONDS):
                raise TimeoutError(f"no statistics for {_SILENCE_SECONDS:g} s")
            if readings.ended:
                raise ProcessLookupError(readings.ended)
            assert readings.reply is not None
            return readings.reply

    def follow(self) -> None:
        """Read until the container or the stream ends, or nobody wants it any more."""
        readings = self._readings
        ended = "its statistics ended"
        try:
            for reply in _stream(self.container):
                if readings.abandoned:
                    break
                if not _is_running(reply):
                    ended = "the container has ended, so it has no statistics"
                    break
                with readings.changed:
                    readings.reply, readings.came = reply, time.monotonic()
                    readings.changed.notify_all()
        except (*FAULTS, TuneError, OSError, ValueError) as error:
            ended = f"its statistics cannot be read: {engine_reason(error)}"
        with readings.changed:
            readings.ended = ended
            readings.changed.notify_all()

    def abandon(self) -> None:
        self._readings.abandoned = True


@contextmanager
def statistics_streams(most: int) -> Iterator[StatisticsStreams]:
    """Up to `most` streams. The block's end waits until they have ended: within a second, or at
    once where their containers are gone.
    """
    with ThreadPoolExecutor(most, "statistics") as readers:
        streams = StatisticsStreams(readers, [])
        try:
            yield streams
        finally:
            for stream in streams.open:
                stream.abandon()


@dataclass(frozen=True)
class StatisticsStreams:
    """The streams that are read."""

    readers: ThreadPoolExecutor
    open: list[StatisticsStream]

    def of(self, container: Container) -> StatisticsStream:
        """The statistics of a container, from now on."""
        stream = StatisticsStream(container)
        self.open.append(stream)
        self.readers.submit(stream.follow)
        return stream


def _stream(container: Container) -> Iterator[dict[str, Any]]:
    """Docker's own client leaves the connection open to whoever stops reading."""
    assert container.client is not None
    api = container.client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/stats"
    with api.get(url, params={"stream": "true"}, stream=True, timeout=_SILENCE_SECONDS) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            yield json.loads(line)


def _is_running(reply: dict[str, Any]) -> bool:
    return not str(reply.get("read", "0001-")).startswith("0001-")
