"""Bridge networks of the engine."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Literal

from docker import DockerClient
from docker.models.networks import Network

Ways = Literal["out", "host", "none"]
"""Where packets may go from a bridge besides its containers: anywhere, to addresses of the engine's
machine on the bridge and so to every port that is open there, or nowhere."""


def create_bridge(
    client: DockerClient, name: str, labels: Mapping[str, str], ways: Ways
) -> Network:
    options = {"com.docker.network.bridge.inhibit_ipv4": "true"} if ways == "none" else {}
    return client.networks.create(
        name, driver="bridge", internal=ways != "out", options=options, labels=dict(labels)
    )


def first_bridge(
    client: DockerClient, name: str, labels: Mapping[str, str], here: bool
) -> tuple[Network, bool]:
    """A bridge, and whether this machine reaches the addresses on it directly.

    It has no way out where it does. `here` says that the engine may be on this machine.
    """
    network = create_bridge(client, name, labels, "host" if here else "out")
    if here and not _is_reachable(network):
        network.remove()
        return create_bridge(client, name, labels, "out"), False
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
