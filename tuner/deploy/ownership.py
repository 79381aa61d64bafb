"""Who made a container, network or volume, so that leftovers of dead runs can be removed.

Everything that `tune` creates on an engine has the label `LABEL` with the identity of the process
that made it: host name, boot, process id and start time. A process id alone is used again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import CONFLICT, FORBIDDEN
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from tuner.deploy.parallel import in_parallel
from tuner.interrupts import shielded

LABEL = "tune.owner"
RUN_LABEL = "tune.run"
WORKERS = 32

_abandoned: set[tuple[str, str]] = set()
"""Labels, with values, of what this process could not remove, as the engine did not answer. They
stay here until it ends: what an engine was asked for last, it may do when it answers again."""


@dataclass(frozen=True)
class Owner:
    """A process on some host; `str(owner)` is the label's value."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Owner:
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), pid, _start_time(pid) or "")

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        host, _, rest = text.partition("/")
        parts = rest.split("/")
        if len(parts) != 3 or not parts[1].isdigit():
            return None
        return cls(host, parts[0], int(parts[1]), parts[2])

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pid}/{self.started}"

    def dead(self) -> bool:
        """Whether this process has surely ended; False for a process of another host."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot():
            return True
        # Without proc(5) there is only the process id, neither boot nor start time.
        return _start_time(self.pid) != self.started if self.started else not _exists(self.pid)


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"


def _start_time(pid: int) -> str | None:
    """The start time in clock ticks since boot (proc(5), `stat`, field 22).

    None where there is no such process, or only a zombie.
    """
    try:
        # The command name, field 2, may hold blanks, but nothing after its last ")" does.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep(client: DockerClient) -> list[str]:
    """Remove containers, networks and volumes whose owner is dead, and return their names.

    Those of running processes, of other hosts and of other tools stay; but not what this process
    could not remove earlier (`undo`).
    """
    _remove_abandoned(client)
    removed = []
    for container in client.containers.list(
        all=True, filters={"label": LABEL}, ignore_removed=True
    ):
        if _is_dead(container.labels.get(LABEL, "")):
            remove_container(container)
            removed.append(str(container.name))
    for network in client.networks.list(filters={"label": LABEL}):
        if _is_dead((network.attrs.get("Labels") or {}).get(LABEL, "")):
            remove_network(network)
            removed.append(str(network.name))
    for volume in client.volumes.list(filters={"label": LABEL}):
        if _is_dead((volume.attrs.get("Labels") or {}).get(LABEL, "")):
            remove_volume(volume)
            removed.append(str(volume.name))
    return removed


@contextmanager
def undo(client: DockerClient, label: str, value: str) -> Iterator[None]:
    """Remove every container, network and volume with this label, however the block ends.

    An interrupt waits until that is done. Where the engine does not answer, a later `undo` or
    `sweep` of this process does so.
    """
    try:
        yield
    finally:
        with shielded():
            try:
                _remove_labelled(client, label, value)
                _remove_abandoned(client)
            except BaseException:
                _abandoned.add((label, value))
                raise


def _remove_abandoned(client: DockerClient) -> None:
    for label, value in sorted(_abandoned):
        _remove_labelled(client, label, value)


def _remove_labelled(client: DockerClient, label: str, value: str) -> None:
    """Remove them. An engine that did not answer for a while does afterwards what it was asked
    before: a container that comes up late keeps its network until it is removed as well, and one
    with another label, which joined late, until it has left.
    """
    labelled: dict[str, str | list[str] | bool] = {"label": f"{label}={value}"}
    with ExitStack() as at_last, ThreadPoolExecutor(WORKERS, "remove") as executor:
        for volume in client.volumes.list(filters=labelled):
            at_last.callback(remove_volume, volume)
        for left in reversed(range(_ROUNDS)):
            containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
            in_parallel(executor, remove_container, containers)
            networks = client.networks.list(filters=labelled)
            try:
                for network in networks:
                    remove_network(network)
            except APIError as error:
                if error.status_code != FORBIDDEN or not left:
                    raise
                for network in networks:
                    _empty(network)
            else:
                return


def _empty(network: Network) -> None:
    """Disconnect all that is still on it. It is no error where it is gone."""
    for current in _reloaded(network):
        for identity in current.attrs.get("Containers") or {}:
            leave_network(current, identity)


def remove_container(container: Container) -> None:
    """Kill and remove a container. It is no error where it is gone or about to go."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        # 409: another client is removing it at this moment.
        if error.status_code != CONFLICT:
            raise


_ROUNDS = 4
"""So often it is looked for containers that keep a network, each time after some seconds."""


def remove_network(network: Network) -> None:
    """Remove a network. It is no error where it is gone.

    Waits some seconds for its last containers, which may still be about to go.
    """
    for patience in (0.1, 0.2, 0.4, 0.8, 1.6, 0.0):
        try:
            network.remove()
        except NotFound:
            return
        except APIError as error:
            # 403: it has active endpoints.
            if error.status_code != FORBIDDEN or not patience:
                raise
            time.sleep(patience)
        else:
            return


def leave_network(network: Network, identity: str) -> None:
    """Disconnect the container of that id. It is no error where it is not on it, or one is gone."""
    try:
        network.disconnect(identity, force=True)
    except NotFound:
        return
    except APIError:
        # The engine says only in words that the container was not connected.
        if any(identity in current.attrs["Containers"] for current in _reloaded(network)):
            raise


def _reloaded(network: Network) -> list[Network]:
    """The network as it is now; empty where it is gone."""
    try:
        network.reload()
    except NotFound:
        return []
    return [network]


def remove_volume(volume: Volume) -> None:
    """Remove a volume. It is no error where it is gone."""
    try:
        volume.remove(force=True)
    except NotFound:
        return


def _is_dead(label: str) -> bool:
    owner = Owner.parse(label)
    return owner is not None and owner.dead()
