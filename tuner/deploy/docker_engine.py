"""The connection to the Docker Engine, on this machine or another."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException

from tuner.deploy.ssh import ENGINE_SOCKET, host_name, tunnel
from tuner.errors import SetupError
from tuner.serving.base import first_line

_POOL = 64
"""Connections to the engine: replicas are created, probed and removed in parallel."""

_PATIENCE = 10.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@contextmanager
def connect() -> Iterator[DockerClient]:
    """A client of the engine at `DOCKER_HOST`, by default at the default socket.

    Raises SetupError when no engine answers.
    """
    address = _address()
    with ExitStack() as world:
        try:
            if address.startswith("ssh://"):
                socket_path = world.enter_context(tunnel(address))
                client = DockerClient(f"unix://{socket_path}", max_pool_size=_POOL)
            else:
                if address.startswith("unix://"):
                    _connect(address.removeprefix("unix://"))
                client = docker.from_env(max_pool_size=_POOL)
        except (DockerException, OSError) as error:
            raise SetupError(
                f"no Docker Engine answers at {address}: {first_line(error)}",
                "start it (`systemctl start docker`), or run `scripts/setup` in a checkout;"
                " `tune run --backend simulated` needs no engine",
            ) from error
        world.callback(client.close)
        try:
            yield client
        except DockerException as error:
            raise SetupError(
                f"the Docker Engine failed: {first_line(error)}",
                "look into its log (`journalctl -u docker`), then run again",
            ) from error


def other_machine() -> str | None:
    """The name or address of the engine's machine; None where it is this machine.

    The name is that in `DOCKER_HOST`, or what ssh's configuration makes of it.
    """
    parts = urlsplit(_address())
    if parts.scheme not in ("tcp", "http", "https", "ssh") or parts.hostname is None:
        return None
    host = parts.hostname
    if parts.scheme == "ssh":
        host = host_name(host)
    return None if host in _THIS_MACHINE else host


def present_image(client: DockerClient, reference: str) -> str:
    """`reference`, an image other than tune's, pulled where it is missing. Raises SetupError."""
    if client.images.list(name=reference):
        return reference
    try:
        client.images.pull(reference)
    except APIError as error:
        raise SetupError(
            f"image {reference} is missing and cannot be pulled: {error.explanation}",
            "load it into the engine (`docker load`), or set `serving.image: tune` in the study",
        ) from error
    return reference


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or f"unix://{ENGINE_SOCKET}"


def _connect(path: str) -> None:
    """Try the engine's socket. Docker's client would leave a socket open where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        probe.connect(path)
