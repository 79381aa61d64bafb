"""How this machine reaches containers: their addresses, requests to them and their counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy.engine_statistics import CounterSource, EngineStatistics, counter_source


class DirectSession(requests.Session):  # noqa: TID251 -- the only one
    """A session for requests to containers.

    It does not look at HTTP_PROXY: a proxy cannot reach the addresses of this machine's containers,
    and NO_PROXY does not list them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False


@dataclass(frozen=True)
class Reach:
    """How the load engine reaches a container: directly, or by a port published on `host`.

    `remote` says that the engine is on another machine, and with it the containers' files and
    processes.
    """

    published: bool
    host: str = "127.0.0.1"
    remote: bool = False

    def ports(self, *ports: int) -> Any:  # noqa: ANN401 -- see below
        """What `containers.create` takes as `ports`."""
        # None lets the engine choose the port; the stubs do not know that.
        interface = "0.0.0.0" if self.remote else "127.0.0.1"  # noqa: S104 -- requests come from another machine
        return {f"{port}/tcp": (interface, None) for port in ports} if self.published else None

    def address(self, container: Container, network: Network, port: int) -> tuple[str, int]:
        """The address at which `container` answers. Reload it after its start."""
        settings = container.attrs["NetworkSettings"]
        if not self.published:
            return settings["Networks"][network.name]["IPAddress"], port
        # A container that has ended has no published ports. Nothing answers at port 0.
        for published in settings["Ports"].get(f"{port}/tcp") or ():
            return self.host, int(published["HostPort"])
        return self.host, 0

    def source(self, container: Container) -> CounterSource:
        return EngineStatistics(container) if self.remote else counter_source(container)
