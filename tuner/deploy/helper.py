"""A helper container that may change one network namespace, and the commands that run in it.

Only the helper has NET_ADMIN. The replicas and the host need no additional rights.
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
from tuner.serving.container_plan import IPC_MODE, NOBODY, PIDS_LIMIT

FORGETFUL = {"net.ipv4.tcp_no_metrics_save": "1"}
"""A kernel setting of a namespace: TCP forgets what it learned from the losses of a burst.
Otherwise the next burst would start with it, since a reused deployment has the same addresses."""

_SEPARATOR = "\x1e"
"""ASCII's record separator. No tool prints it."""


def start_helper(
    client: DockerClient, network: str, image: str, labels: Mapping[str, str]
) -> Container:
    """Start a container that waits as nobody, without capabilities.

    A command in it runs as root, with no capabilities but NET_ADMIN and NET_RAW: so only for as
    long as a command takes does any process have these.

    `network` is a network's name, `none`, or `container:<id>` for the namespace of that container.
    """
    helper = client.containers.create(
        image,
        ["sleep", "infinity"],
        network_mode=network,
        # The namespace of another container has its settings already.
        sysctls=None if network.startswith("container:") else FORGETFUL,
        cap_drop=["ALL"],
        # With no-new-privileges root's commands would not get them.
        cap_add=["NET_ADMIN", "NET_RAW"],
        ipc_mode=IPC_MODE,
        pids_limit=PIDS_LIMIT,
        user=NOBODY,
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
    """Run the commands in one go and return what each prints.

    Raises TrialFailed at the first command that fails; the others are not run.
    """
    return _run(helper, commands, f" && printf '{_SEPARATOR}' && ")


def run_each_command(helper: Container, commands: Sequence[Sequence[str]]) -> list[str]:
    """As `run_commands`, but each runs whether or not others fail. The last one must succeed."""
    return _run(helper, commands, f"; printf '{_SEPARATOR}'; ")


def _run(helper: Container, commands: Sequence[Sequence[str]], joint: str) -> list[str]:
    script = joint.join(map(shlex.join, commands))
    code, output, errors = execute(helper, ["sh", "-c", script])
    if code != 0:
        readable = script.replace(_SEPARATOR, "\\036")
        reason = errors.strip() or output.strip()
        raise TrialFailed(f"`{readable}` failed in a network namespace: {reason}")
    # Warnings are on standard error and no part of the answer.
    return output.split(_SEPARATOR)


def execute(container: Container, command: list[str], user: str = "0") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in a running container.

    Docker's own client reads the answer below its HTTP client: it loses what that has already read,
    and waits for ever where the engine is frozen. Without an upgrade of the connection the engine
    sends the same answer as a plain body. It may come late: the command takes as long as it takes.
    """
    assert container.client is not None
    api = container.client.api
    identity = api.exec_create(str(container.id), command, user=user)["Id"]
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
    """Standard output (1) and standard error (2), from frames with a head of 8 bytes.

    See "Stream format" of `POST /containers/{id}/attach` in the Docker Engine API.
    """
    streams = {1: b"", 2: b""}
    while body:
        number, length = struct.unpack(">BxxxL", body[:8])
        streams[number] += body[8 : 8 + length]
        body = body[8 + length :]
    return streams
