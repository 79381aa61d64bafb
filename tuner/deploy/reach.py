"""How this machine gets to containers: their addresses, and their counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy.engine_statistics import CounterSource, EngineStatistics, counter_source


@dataclass(frozen=True)
class Reach:
    """How the load engine gets to a container: straight, or by a port published on `host`.

    `remote` says that the engine is on another machine, so that its containers' files and
    processes are there and not here.
    """

    published: bool
    host: str = "127.0.0.1"
    remote: bool = False

    def ports(self, *ports: int) -> Any:  # noqa: ANN401 -- see below
        """What `containers.create` takes as `ports`."""
        # None: a port that the engine chooses, which the stubs do not know.
        interface = "0.0.0.0" if self.remote else "127.0.0.1"  # noqa: S104 -- requests come from another machine
        return {f"{port}/tcp": (interface, None) for port in ports} if self.published else None

    def address(self, container: Container, network: Network, port: int) -> tuple[str, int]:
        """Where `container`, reloaded after its start, answers."""
        settings = container.attrs["NetworkSettings"]
        if not self.published:
            return settings["Networks"][network.name]["IPAddress"], port
        # Nothing is there when the container has ended already; then nothing answers.
        for published in settings["Ports"].get(f"{port}/tcp") or ():
            return self.host, int(published["HostPort"])
        return self.host, 0

    def source(self, container: Container) -> CounterSource:
        return EngineStatistics(container) if self.remote else counter_source(container)
