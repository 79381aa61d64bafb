"""Bridge networks of the engine."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from docker import DockerClient
from docker.models.networks import Network


def create_bridge(
    client: DockerClient, name: str, labels: Mapping[str, str], internal: bool
) -> Network:
    """A bridge; an `internal` one has no way out."""
    return client.networks.create(name, driver="bridge", internal=internal, labels=dict(labels))


def first_bridge(
    client: DockerClient, name: str, labels: Mapping[str, str], here: bool
) -> tuple[Network, bool]:
    """A bridge, and whether this machine reaches the addresses on it directly.

    The bridge is internal where it does. `here` says that the engine may be on this machine.
    """
    network = create_bridge(client, name, labels, internal=here)
    if here and not _is_reachable(network):
        network.remove()
        return create_bridge(client, name, labels, internal=False), False
    return network, here


def _is_reachable(network: Network) -> bool:
    """Whether this machine owns the network's gateway and so reaches the containers' addresses.

    It does not where the engine runs in a virtual machine, as on a desktop.
    """
    network.reload()
    for pool in network.attrs["IPAM"]["Config"] or ():
        gateway = pool.get("Gateway", "").partition("/")[0]
        if not gateway:
            continue
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((gateway, 0))
            except OSError:
                continue
            return True
    return False
