"""The network namespace of the load engine: that of a container that does nothing else.

From there requests take the path of any client on the bridge. Arriving packets can be dropped
there, which must not happen in the host's own namespace.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from docker import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy import impairment
from tuner.deploy.helper import start_helper
from tuner.deploy.ownership import leave_network, remove_container
from tuner.load.engine_place import enter_namespace
from tuner.measure.proc import PROC


@dataclass(frozen=True)
class ClientNamespace:
    """A running container whose namespace this process may enter."""

    container: Container
    pid: int

    @property
    def path(self) -> str:
        """What setns(2) is given."""
        return f"{PROC}/{self.pid}/ns/net"

    @contextmanager
    def joined(self, network: Network, executor: Executor) -> Iterator[Future[None]]:
        """Join `network` inside the block. The future that it yields is done once that is so."""
        connected = executor.submit(network.connect, self.container)
        try:
            yield connected
        finally:
            if connected.exception() is None:
                leave_network(network, str(self.container.id))

    def end(self, address: str) -> impairment.ClientEnd:
        """Its end of the link to `address`, which is on a network that it has joined."""
        routes = (PROC / str(self.pid) / "net/route").read_text()
        return impairment.ClientEnd(self.container, interface_to(address, routes))


@contextmanager
def client_namespace(
    client: DockerClient, image: str, network: Network, labels: Mapping[str, str]
) -> Iterator[ClientNamespace | str]:
    """A namespace on `network`, or the reason why this process cannot have one."""
    container = start_helper(client, str(network.name), image, labels)
    try:
        container.reload()
        pid = int(container.attrs["State"]["Pid"])
        # In a thread of its own, because setns moves the thread that calls it.
        with ThreadPoolExecutor(1, "setns") as executor:
            why = executor.submit(enter_namespace, path := f"{PROC}/{pid}/ns/net").result()
        if why:
            yield f"{path} cannot be entered: {why} (it needs CAP_SYS_ADMIN)"
        else:
            yield ClientNamespace(container, pid)
    finally:
        remove_container(container)


def interface_to(address: str, routes: str) -> str:
    """The interface that leads to `address`, from `/proc/<pid>/net/route`; see proc(5).

    Of several routes the narrowest counts. Raises LookupError where there is none.
    """
    target = int(IPv4Address(address))
    matching: list[tuple[int, str]] = []
    for line in routes.splitlines()[1:]:
        columns = line.split()
        destination, mask = (_number(columns[n]) for n in (1, 7))
        if target & mask == destination:
            matching.append((mask, columns[0]))
    if not matching:
        raise LookupError(f"no route to {address}")
    return max(matching)[1]


def _number(text: str) -> int:
    """An address in that file: network order, printed as an integer of this machine."""
    return socket.ntohl(int(text, 16)) if sys.byteorder == "little" else int(text, 16)
