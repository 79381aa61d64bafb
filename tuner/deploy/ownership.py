"""Who made a container, network or volume: a dead run's leftovers are told from a live one's.

Everything that `tune` creates on an engine carries `LABEL` with the identity of the process that
made it. A process is identified by host name, boot, process id and start time, because a process
id alone is used again.
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

LABEL = "tune.owner"
RUN_LABEL = "tune.run"
WORKERS = 32


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
        """Whether this process surely runs no more; False for a process of another host."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot():
            return True
        # Without proc(5) there are neither boot nor start time, only the process id.
        return _start_time(self.pid) != self.started if self.started else not _exists(self.pid)


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"


def _start_time(pid: int) -> str | None:
    """Field 22 of proc(5) `stat`: start time in clock ticks since boot; None if there is no such
    process (a zombie runs no more).
    """
    try:
        # The command name, field 2, may hold blanks; what follows its last ")" does not.
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
    """Remove containers, networks and volumes whose owner is dead; returns their names.

    Those of live runs, of other hosts and of other tools stay.
    """
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
    """Remove every container, network and volume with this label, however the block ends."""
    try:
        yield
    finally:
        chosen: dict[str, str | list[str] | bool] = {"label": f"{label}={value}"}
        with ExitStack() as at_last, ThreadPoolExecutor(WORKERS, "remove") as executor:
            for volume in client.volumes.list(filters=chosen):
                at_last.callback(remove_volume, volume)
            for network in client.networks.list(filters=chosen):
                at_last.callback(remove_network, network)
            containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
            in_parallel(executor, remove_container, containers)


def remove_container(container: Container) -> None:
    """Kill and remove; a container that is gone, or on its way, is no error."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        # 409: another client (a sweep, a person) is removing it at this moment.
        if error.status_code != CONFLICT:
            raise


def remove_network(network: Network) -> None:
    """Remove; a network that is gone is no error.

    Its last containers may be on their way out still: it waits some seconds for them.
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


def leave_network(network: Network, container: Container) -> None:
    """Disconnect; it is no error when the container is not on the network, or one is gone."""
    try:
        network.disconnect(container, force=True)
    except NotFound:
        return
    except APIError:
        # The engine says in words only that it was not connected.
        if any(container.id in found.attrs["Containers"] for found in _reloaded(network)):
            raise


def _reloaded(network: Network) -> list[Network]:
    """The network as it is now; nothing when it is gone."""
    try:
        network.reload()
    except NotFound:
        return []
    return [network]


def remove_volume(volume: Volume) -> None:
    """Remove; a volume that is gone is no error."""
    try:
        volume.remove(force=True)
    except NotFound:
        return


def _is_dead(label: str) -> bool:
    owner = Owner.parse(label)
    return owner is not None and owner.dead()
