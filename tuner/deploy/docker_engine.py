"""The connection to the Docker Engine, on this machine or another."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from docker import DockerClient
from docker.errors import APIError, InvalidVersion

from tuner.addresses import address_parts
from tuner.deploy.engine_address import EngineAddress, engine_address
from tuner.deploy.engine_client import (
    CALL_SECONDS,
    FAULTS,
    PING_SECONDS,
    START,
    EngineClient,
    engine_failure,
    engine_reason,
)
from tuner.deploy.ssh import host_name, tunnel
from tuner.errors import InputError, SetupError, Unreachable
from tuner.serving.image import find_image
from tuner.serving.servers.table import server_named
from tuner.spec.study import ServingSpec

_PATIENCE = 10.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@contextmanager
def connect(
    seconds: float = CALL_SECONDS, address: EngineAddress | None = None
) -> Iterator[DockerClient]:
    """A client of the engine at `address`, by default the one that Docker's command line would use
    (`engine_address`).

    A call may take so many seconds. Raises Unreachable when no engine answers, SetupError when it
    lets nobody in, is too old, or is named by a context that is none.
    """
    address = address or engine_address()
    with ExitStack() as world:
        try:
            client = _client(address, seconds, world)
        except PermissionError as error:
            raise SetupError(
                f"the Docker Engine at {address} does not let this user in: {engine_reason(error)}",
                "add the user to the group of the socket (`sudo usermod -aG docker $USER`, then"
                " log in again), or use a rootless engine (`docker context use rootless`)",
            ) from error
        except InvalidVersion as error:
            raise SetupError(
                f"the Docker Engine at {address} is too old: {engine_reason(error)}",
                "install Docker Engine 20.10 or newer",
            ) from error
        except (*FAULTS, OSError) as error:
            raise Unreachable(
                f"no Docker Engine answers at {address}: {engine_reason(error)}",
                f"{START}, or run `scripts/setup` in a checkout;"
                " `tune run --backend simulated` needs no engine",
            ) from error
        world.callback(client.close)
        try:
            yield client
        except FAULTS as error:
            raise engine_failure(error) from error


def is_up() -> bool:
    """Whether an engine answers now, and soon."""
    try:
        with connect(PING_SECONDS):
            return True
    except Unreachable:
        return False


def _client(address: EngineAddress, seconds: float, world: ExitStack) -> DockerClient:
    host = address.host
    if host.startswith("ssh://"):
        host = f"unix://{world.enter_context(tunnel(host))}"
    elif host.startswith("unix://"):
        _connect(host.removeprefix("unix://"))
    return EngineClient(address, host, seconds)


def other_machine() -> str | None:
    """The name or address of the engine's machine; None where it is this machine.

    The name is that in the engine's address, or what ssh's configuration makes of it.
    """
    parts = address_parts(engine_address().host)
    if (
        parts is None
        or parts.hostname is None
        or parts.scheme not in ("tcp", "http", "https", "ssh")
    ):
        return None
    host = parts.hostname
    if parts.scheme == "ssh":
        host = host_name(host)
    return None if host in _THIS_MACHINE else host


def serving_image(client: DockerClient, serving: ServingSpec) -> str:
    """The reference of what `serving` runs. Raises SetupError where the engine cannot have it.

    Raises InputError where the study names no image and tune builds none for the server.
    """
    if serving.image != "tune":
        return present_image(client, serving.image)
    server = server_named(serving.server)
    if server.image is None:
        raise InputError(
            f"tune builds no image for {server.title}",
            "name one as `serving.image` in the study, or leave it out where model.yaml has one",
        )
    return find_image(client, server.image)


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


def _connect(path: str) -> None:
    """Try the engine's socket. Docker's client would leave a socket open where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        probe.connect(path)
