"""CPU time and memory of a service that is there already, where they can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import requests
from docker.errors import NotFound

from tuner.deploy.cgroup import CgroupV1, CgroupV2, control_group
from tuner.deploy.docker_engine import connect
from tuner.deploy.engine_statistics import EngineStatistics, counter_source
from tuner.deploy.reach import DirectSession
from tuner.errors import SetupError, TrialFailed
from tuner.measure.samples import ContainerCounters
from tuner.spec.study import UsageSpec

_SECONDS = 10.0


@dataclass(frozen=True)
class Prometheus:
    """Counters that a Prometheus server has scraped.

    Their time is that of the scrape (`timestamp()`). So a window within one scrape interval has no
    CPU usage, and none is made up.
    """

    session: DirectSession
    url: str
    cpu: str
    memory: str

    name = "prometheus"

    def cpu_time(self) -> tuple[int, int]:
        """(Time of the scrape, CPU time) in ns."""
        seconds, at = self._value(self.cpu), self._value(f"max(timestamp({self.cpu}))", self.cpu)
        return round(at * 1e9), round(seconds * 1e9)

    def counters(self) -> ContainerCounters:
        at, cpu_ns = self.cpu_time()
        memory = round(self._value(self.memory)) if self.memory else 0
        return ContainerCounters(at, cpu_ns, 0, 0, 0, memory, 0, 0, 0, self.name)

    def _value(self, query: str, named: str = "") -> float:
        """The one value of a query. Raises TrialFailed where there is not one."""
        asked = f"the query {named or query!r} to {self.url}"
        try:
            reply = self.session.get(
                f"{self.url.rstrip('/')}/api/v1/query",
                params={"query": query},
                timeout=_SECONDS,
                allow_redirects=False,
            )
            answer: Any = orjson.loads(reply.content)
            rows = answer["data"]["result"]
            if answer["data"]["resultType"] == "scalar":
                rows = [{"value": rows}]
            if len(rows) != 1:
                raise TrialFailed(f"{asked} gives {len(rows)} series, expected 1: sum() makes one")
            return float(rows[0]["value"][1])
        except requests.RequestException as error:
            raise TrialFailed(f"{asked} fails: {error}") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            said = reply.text[:200]
            raise TrialFailed(f"{asked} is answered {reply.status_code}: {said}") from error


Source = CgroupV1 | CgroupV2 | EngineStatistics | Prometheus


@contextmanager
def usage_source(usage: UsageSpec) -> Iterator[Source | None]:
    """Where the counters are read, None where nowhere; tried once.

    Raises SetupError where there is no such container, control group or answer.
    """
    if usage.container:
        with connect() as client:
            try:
                container = client.containers.get(usage.container)
            except NotFound as error:
                raise SetupError(
                    f"there is no container {usage.container!r}",
                    "correct endpoint.usage.container: `docker ps` lists the names",
                ) from error
            yield _tried(counter_source(container), f"container {usage.container!r}")
    elif usage.cgroup:
        group = control_group(usage.cgroup)
        if group is None:
            raise SetupError(
                f"there is no control group {usage.cgroup!r} with CPU and memory counters",
                "give its path as in /proc/PID/cgroup, such as /system.slice/my.service",
            )
        yield _tried(group, f"control group {usage.cgroup!r}")
    elif usage.prometheus:
        with DirectSession() as session:
            source = Prometheus(session, usage.prometheus, usage.cpu, usage.memory)
            yield _tried(source, f"Prometheus at {usage.prometheus}")
    else:
        yield None


def _tried(source: Source, what: str) -> Source:
    try:
        source.counters()
    except (OSError, TrialFailed) as error:
        words = error.message if isinstance(error, TrialFailed) else str(error)
        raise SetupError(
            f"{what} cannot be read: {words}", "correct endpoint.usage, or leave it out"
        ) from error
    return source
