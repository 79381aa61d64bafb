"""The truth of the simulated host: what a configuration would measure without noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuner.deploy import queueing
from tuner.deploy.simulated_burst import Course
from tuner.spec.host import Host
from tuner.spec.space import Value


@dataclass(frozen=True)
class Workload:
    """What a model costs: CPU time per request, time outside the replica, memory, idle CPU.

    A replica needs `base_mib` and `request_mib` for each request that it may hold at once.
    Each core asked for beyond what the host has lengthens the service by `contention`, relative
    to the host's cores (switches between processes, colder caches).
    """

    service_ms: float = 1.2
    network_ms: float = 0.25
    base_mib: float = 60.0
    request_mib: float = 3.0
    idle_cores: float = 0.004
    contention: float = 0.1


@dataclass(frozen=True)
class SimulatedHost:
    """A host that serves one workload, free of noise."""

    host: Host
    workload: Workload = Workload()

    def working_set_mib(self, concurrency: int, replicas: int) -> float:
        """Memory that the fullest replica needs, in MiB."""
        held = math.ceil(concurrency / replicas)
        return self.workload.base_mib + self.workload.request_mib * held

    def course(self, configuration: Mapping[str, Value], slowdown: float = 1.0) -> Course:
        """How a burst of this configuration goes, its service `slowdown` times the true one."""
        concurrency, replicas = int(configuration["concurrency"]), int(configuration["replicas"])
        cpu, cpus = float(configuration["cpu"]), self.host.cpus
        asked = min(replicas * cpu, concurrency)
        crowding = 1 + self.workload.contention * max(0.0, asked / cpus - 1)
        service = self.workload.service_ms / 1000 * crowding * slowdown
        loss_percent = float(configuration["loss"])
        cores = queueing.cores_in_use(concurrency, replicas, cpu, cpus)
        network = self.workload.network_ms / 1000
        retransmission = queueing.mean_retransmission_seconds(loss_percent)
        queue = queueing.solve(cores / service, network + retransmission)
        used = queue.throughput * service + replicas * self.workload.idle_cores
        over_quota = np.arange(concurrency + 1) > replicas * cpu
        return Course(
            response_seconds=queue.response_seconds,
            inside_seconds=queue.response_seconds - network - retransmission,
            network_seconds=network,
            loss_percent=loss_percent,
            cores=min(used, float(cpus)),
            throttled=float(queue.inside[over_quota].sum()),
        )

    def expected(self, configuration: Mapping[str, Value]) -> tuple[float, float] | None:
        """True ART (ms) and CPU usage (percent of the host); None where memory does not suffice.

        `configuration` has values for concurrency, cpu, memory (MiB), replicas and loss (percent).
        """
        concurrency, replicas = int(configuration["concurrency"]), int(configuration["replicas"])
        if self.working_set_mib(concurrency, replicas) > float(configuration["memory"]):
            return None
        course = self.course(configuration)
        return 1000 * course.response_seconds, 100 * course.cores / self.host.cpus
