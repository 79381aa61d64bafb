"""A container that may change one network namespace, and commands that are run in it.

It alone has NET_ADMIN, so neither the replicas nor the host need any right.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Mapping, Sequence

import requests
from docker import DockerClient
from docker.errors import create_api_error_from_http_exception
from docker.models.containers import Container

from tuner.deploy.ownership import remove_container
from tuner.errors import TrialFailed

FORGETFUL = {"net.ipv4.tcp_no_metrics_save": "1"}
"""A kernel setting of a namespace: what TCP learned of one burst's losses must not reach the next,
whose connections are between the same addresses where a deployment stays up."""

_SEPARATOR = "\x1e"
"""ASCII's record separator, which no tool prints."""


def start_helper(
    client: DockerClient, network: str, image: str, labels: Mapping[str, str]
) -> Container:
    """A container that waits, root with NET_ADMIN alone.

    `network` is a network's name, `none`, or `container:<id>` for the namespace of another.
    """
    helper = client.containers.create(
        image,
        ["sleep", "infinity"],
        network_mode=network,
        # Another's namespace has its own settings already.
        sysctls=None if network.startswith("container:") else FORGETFUL,
        cap_drop=["ALL"],
        cap_add=["NET_ADMIN", "NET_RAW"],
        security_opt=["no-new-privileges"],
        user="0",
        labels=dict(labels),
        stop_signal="SIGKILL",
        tmpfs={"/run": "size=1m"},
        read_only=True,
    )
    try:
        helper.start()
    except BaseException:
        remove_container(helper)
        raise
    return helper


def run_commands(helper: Container, commands: Sequence[Sequence[str]]) -> list[str]:
    """What each command prints, all in one go. Raises TrialFailed at the first that fails."""
    return _run(helper, commands, f" && printf '{_SEPARATOR}' && ")


def run_each_command(helper: Container, commands: Sequence[Sequence[str]]) -> list[str]:
    """The same, but each command is run whatever the others do; the last one must succeed."""
    return _run(helper, commands, f"; printf '{_SEPARATOR}'; ")


def _run(helper: Container, commands: Sequence[Sequence[str]], joint: str) -> list[str]:
    script = joint.join(map(shlex.join, commands))
    code, output, errors = _execute(helper, ["sh", "-c", script])
    if code != 0:
        readable = script.replace(_SEPARATOR, "\\036")
        reason = errors.strip() or output.strip()
        raise TrialFailed(f"`{readable}` failed in a network namespace: {reason}")
    # What a tool warns of is no part of its answer.
    return output.split(_SEPARATOR)


def _execute(container: Container, command: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in a running container.

    Docker's client reads the answer from below its HTTP client and so loses what that has read
    already. Asked without an upgrade of the connection, the engine sends the same as a plain body.
    """
    assert container.client is not None
    api = container.client.api
    identity = api.exec_create(str(container.id), command)["Id"]
    url = f"{api.base_url}/v{api.api_version}/exec/{identity}/start"
    reply = api.post(url, json={"Detach": False, "Tty": False}, timeout=api.timeout)
    try:
        reply.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    streams = split_streams(reply.content)
    code = api.exec_inspect(identity)["ExitCode"]
    return code, *(streams[n].decode(errors="replace") for n in (1, 2))


def split_streams(body: bytes) -> dict[int, bytes]:
    """Standard output (1) and error (2) from frames of 8 bytes of head and their content.

    See "Stream format" of `POST /containers/{id}/attach` in the Docker Engine API.
    """
    streams = {1: b"", 2: b""}
    while body:
        number, length = struct.unpack(">BxxxL", body[:8])
        streams[number] += body[8 : 8 + length]
        body = body[8 + length :]
    return streams
