"""The container of the null server (see `Deployer.null_server`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from docker import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy import null_server
from tuner.deploy.cpu_placement import CpuPlacement
from tuner.deploy.engine_statistics import CounterSource
from tuner.deploy.ownership import remove_container
from tuner.deploy.reach import DirectSession, Reach
from tuner.errors import SetupError
from tuner.measure.samples import ContainerCounters
from tuner.serving.container_plan import IPC_MODE, NOBODY, PIDS_LIMIT

_PORT = 8501
_PATIENCE = 10.0

MOST_PROCESSES = 8
"""Of a null server. So many answer faster than any number of senders asks."""


@dataclass(frozen=True)
class NullServer:
    """A `Target`: a null server that is up."""

    address: tuple[str, int]
    source: CounterSource
    model_name: str
    client_namespace: str | None
    client_cpus: tuple[int, ...]
    local: bool

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [self.address]

    def counters(self) -> tuple[ContainerCounters, ...]:
        return (self.source.counters(),)

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return (self.source.cpu_time(),)


@contextmanager
def null_container(
    client: DockerClient,
    image: str,
    network: Network,
    reach: Reach,
    placed: CpuPlacement,
    labels: Mapping[str, str],
    model_name: str,
    client_namespace: str | None,
    local: bool,
    processes: int,
) -> Iterator[NullServer]:
    """A null server of so many processes in a container of `image` (with Python), without a CPU
    limit.
    """
    container = client.containers.create(
        image,
        entrypoint=["python3", "-c"],
        command=[Path(null_server.__file__).read_text(), str(_PORT), str(processes)],
        user=NOBODY,
        cpuset_cpus=placed.cpuset,
        pids_limit=PIDS_LIMIT,
        read_only=True,
        ipc_mode=IPC_MODE,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network=network.name,
        ports=reach.ports(_PORT),
        labels=dict(labels),
    )
    try:
        container.start()
        container.reload()
        host, port = reach.address(container, network, _PORT)
        wait_until_it_answers(container, f"http://{host}:{port}/")
        source = reach.source(container)
        yield NullServer((host, port), source, model_name, client_namespace, placed.client, local)
    finally:
        remove_container(container)


def wait_until_it_answers(container: Container, url: str, seconds: float = _PATIENCE) -> None:
    """Raises SetupError, with the end of the container's log, where there is no answer in time."""
    deadline = time.monotonic() + seconds
    with DirectSession() as session:
        while True:
            try:
                session.post(url, data=b"{}", timeout=1.0).raise_for_status()
            except requests.RequestException as error:
                if time.monotonic() >= deadline:
                    log = container.logs(tail=5).decode(errors="replace")
                    raise SetupError(
                        f"the null server did not answer within {seconds:g} s: {error}\n{log}",
                        "look for a firewall between this machine and its containers",
                    ) from error
                time.sleep(0.02)
            else:
                return
