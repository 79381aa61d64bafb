"""Replicas of one configuration that are ready for requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from tuner.deploy import logs
from tuner.deploy.cgroup import Limits
from tuner.deploy.client_namespace import ClientNamespace
from tuner.deploy.cpu_placement import CpuPlacement
from tuner.deploy.engine_client import FAULTS, engine_reason
from tuner.deploy.impairment import BadNetwork, Links, impaired
from tuner.deploy.parallel import in_parallel
from tuner.deploy.replica import Replica
from tuner.errors import TuneError
from tuner.measure.samples import ContainerCounters
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec, NetworkSpec

_T = TypeVar("_T")


@dataclass(frozen=True)
class DockerDeployment:
    """Containers; see `Deployment`."""

    spec: DeploymentSpec
    replicas: tuple[Replica, ...]
    executor: Executor
    client: ClientNamespace | None
    placed: CpuPlacement
    host_cpus: int
    local: bool
    links: Links
    ready_seconds: float | None

    @property
    def model_name(self) -> str:
        return self.spec.model.name

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [replica.address for replica in self.replicas]

    @property
    def client_namespace(self) -> str | None:
        return self.client.path if self.client else None

    @property
    def client_cpus(self) -> tuple[int, ...]:
        return self.placed.client

    def counters(self) -> tuple[ContainerCounters, ...]:
        return tuple(self._each(Replica.counters))

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return tuple(self._each(Replica.cpu_time))

    def impair(self, network: NetworkSpec) -> AbstractContextManager[BadNetwork]:
        return impaired(self.links, network)

    def verify(self) -> None:
        in_parallel(self.executor, Replica.check_alive, self.replicas)

    def forget_peak(self) -> bool:
        return all(self._each(lambda replica: replica.source.forget_peak()))

    def log_tail(self) -> str:
        lines = logs.lines_each(len(self.replicas))
        try:
            tails = in_parallel(self.executor, lambda r: r.log(lines), self.replicas)
        except (*FAULTS, TuneError) as error:
            return f"the containers' logs cannot be read: {engine_reason(error)}"
        return logs.joined_logs(tails)

    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "docker",
            "containers": [str(replica.container.name) for replica in self.replicas],
            "addresses": [f"{host}:{port}" for host, port in self.addresses],
            "protocol": self.spec.protocol,
            "limits": [_limit_facts(limits) for limits in self._each(Replica.limits)],
            "counters": self.replicas[0].source.name,
            "cpus": self.placed.facts(),
        }

    def _each(self, read: Callable[[Replica], _T]) -> list[_T]:
        """Read all replicas: local files one after the other, from an engine elsewhere in
        parallel.
        """
        if self.local:
            return [read(replica) for replica in self.replicas]
        return in_parallel(self.executor, read, self.replicas)


def _limit_facts(limits: Limits) -> dict[str, float | None]:
    memory = limits.memory_bytes
    return {"cpu": limits.cpu, "memory_mib": memory and memory / MIB}
