"""The connection to the Docker Engine."""

from __future__ import annotations

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


@contextmanager
def connect() -> Iterator[DockerClient]:
    """A client for the engine that `DOCKER_HOST` or the default socket names.

    Raises SetupError when none answers, or when it runs on another machine: models are mounted
    from this machine's disk.
    """
    try:
        client = docker.from_env(max_pool_size=_POOL)
    except DockerException as error:
        raise SetupError(
            f"no Docker Engine answers: {_first_line(error)}",
            "start it (`systemctl start docker`), or run `scripts/setup` in a checkout;"
            " `tune run --backend simulated` needs no engine",
        ) from error
    try:
        client.ping()
        if client.api.base_url.startswith(("http://", "https://")) and not _is_socket(client):
            raise SetupError(
                f"the Docker Engine at {client.api.base_url} is on another machine",
                "run `tune` on the machine of the engine: models are mounted from its disk",
            )
        yield client
    except DockerException as error:
        raise SetupError(
            f"the Docker Engine failed: {_first_line(error)}", "see its log, then run again"
        ) from error
    finally:
        client.close()


def _is_socket(client: DockerClient) -> bool:
    return client.api.base_url.startswith(("http+docker://", "http://localhost"))


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
