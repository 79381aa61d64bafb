"""The connection to the Docker Engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker import DockerClient
from docker.errors import DockerException
from docker.models.networks import Network

from tuner.errors import SetupError

_POOL = 64
"""Connections to the engine: replicas are created, probed and removed at the same time."""


_SOCKET = "/var/run/docker.sock"
_PATIENCE = 10.0
_LOCAL = ("tcp://localhost:", "tcp://127.0.0.1:", "tcp://[::1]:", "npipe://")


@contextmanager
def connect() -> Iterator[DockerClient]:
    """A client for the engine that `DOCKER_HOST` or the default socket names.

    Raises SetupError when none answers, or when it runs on another machine: models are mounted
    from this machine's disk.
    """
    address = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    try:
        if address.startswith("unix://"):
            _connect(address.removeprefix("unix://"))
        elif not address.startswith(_LOCAL):
            raise SetupError(
                f"the Docker Engine at {address} is on another machine",
                "run `tune` on the machine of the engine: models are mounted from its disk",
            )
        client = docker.from_env(max_pool_size=_POOL)
    except (DockerException, OSError) as error:
        raise SetupError(
            f"no Docker Engine answers at {address}: {_first_line(error)}",
            "start it (`systemctl start docker`), or run `scripts/setup` in a checkout;"
            " `tune run --backend simulated` needs no engine",
        ) from error
    try:
        yield client
    except DockerException as error:
        raise SetupError(
            f"the Docker Engine failed: {_first_line(error)}", "see its log, then run again"
        ) from error
    finally:
        client.close()


def _connect(path: str) -> None:
    """Try the engine's socket. Docker's client would leave its own open when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        probe.connect(path)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def bridge_is_reachable(network: Network) -> bool:
    """Whether this machine owns the network's gateway, so that containers' addresses answer here.

    False where the engine runs in a virtual machine of its own, as on a desktop.
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
