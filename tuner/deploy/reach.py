"""How this machine reaches containers: their addresses, requests to them and their counters."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from docker.models.containers import Container
from docker.models.networks import Network
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError

from tuner.deploy.engine_statistics import CounterSource, EngineStatistics, counter_source
from tuner.load.engine_place import inside_namespace
from tuner.serving.servers.call import Call

MOST_BYTES = 64 * 2**20
"""The longest answer that is looked at."""


@dataclass(frozen=True)
class HttpReply:
    """An answer of HTTP. `version` is 10 or 11. A body has at most one byte more than `MOST_BYTES`.

    Names of `headers` have no case.
    """

    status: int
    version: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class DirectSession(requests.Session):  # noqa: TID251 -- the only one
    """A session for requests to containers.

    It does not look at HTTP_PROXY: a proxy cannot reach the addresses of this machine's containers,
    and NO_PROXY does not list them. It connects from the network namespace at `namespace`, a path;
    None is that of the caller.
    """

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__()
        self.trust_env = False
        if namespace is not None:
            self.mount("http://", _FromNamespace(namespace))

    def ask(self, url: str, call: Call, seconds: float | tuple[float, float]) -> HttpReply:
        """The answer to a call, asked as the load engine does: it follows no redirect and accepts
        no compression. Raises RequestException.
        """
        headers = {"Accept-Encoding": "identity", **call.headers}
        with self.request(
            call.method,
            url + call.path,
            data=call.body,
            headers=headers,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
        ) as reply:
            try:
                body = reply.raw.read(MOST_BYTES + 1, decode_content=False)
            except HTTPError as error:
                raise requests.RequestException(error) from error
            return HttpReply(reply.status_code, reply.raw.version, reply.headers, body)


class _FromNamespace(HTTPAdapter):
    """Opens its connections in the network namespace at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- the base's
        super().init_poolmanager(*args, **options)
        path = self._path

        class Connection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                with inside_namespace(path):
                    return super()._new_conn()

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"http": Pool}


@dataclass(frozen=True)
class Reach:
    """How the load engine reaches a container: directly, or by a port published on `host`.

    `remote` says that the engine is on another machine, and with it the containers' files and
    processes. `namespace` is the path of the network namespace from which a replica's addresses are
    reached; None: that of this process.
    """

    published: bool
    host: str = "127.0.0.1"
    remote: bool = False
    namespace: str | None = None

    @property
    def dns(self) -> list[str] | None:
        """Name servers of a container: nobody, where it has no way out.

        The engine might ask the servers of its own machine in a container's name.
        """
        return None if self.published else ["127.0.0.1"]

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
