"""The truth of the simulated host: what a configuration would measure without noise."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuner.backends import queueing
from tuner.backends.simulated_requests import Course
from tuner.spec.host import Host
from tuner.spec.space import Value
from tuner.spec.study import NetworkSpec


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

    def course(
        self,
        configuration: Mapping[str, Value],
        network: NetworkSpec,
        rate: float | None = None,
        slowdown: float = 1.0,
    ) -> Course:
        """How a burst of this configuration goes, its service `slowdown` times the true one.

        In an open loop of `rate` requests per second as many are in flight as a closed loop needs
        for that throughput, at most `concurrency`; what waits for a connection is not in it.
        """
        concurrency, replicas = int(configuration["concurrency"]), int(configuration["replicas"])
        cpu, cpus = float(configuration["cpu"]), self.host.cpus
        asked = min(replicas * cpu, concurrency)
        crowding = 1 + self.workload.contention * max(0.0, asked / cpus - 1)
        service = self.workload.service_ms / 1000 * crowding * slowdown
        cores = queueing.cores_in_use(concurrency, replicas, cpu, cpus)
        outside = (self.workload.network_ms + 2 * network.delay_ms) / 1000
        lost = queueing.exchange_loss(network.loss_in, network.loss_out)
        retransmission = queueing.mean_retransmission_seconds(lost)

        def closed(population: int) -> queueing.Queue:
            return queueing.solve(cores[:population] / service, outside + retransmission)

        queue = closed(concurrency)
        throughput = queue.throughput
        if rate is not None and rate < throughput:
            # More in flight, more throughput: the fewest that reach the rate.
            population = 1 + bisect_left(
                range(1, concurrency), rate, key=lambda n: closed(n).throughput
            )
            queue, throughput = closed(population), rate
        used = throughput * service + replicas * self.workload.idle_cores
        over_quota = np.arange(len(queue.inside)) > replicas * cpu
        return Course(
            response_seconds=queue.response_seconds,
            inside_seconds=queue.response_seconds - outside - retransmission,
            network_seconds=outside,
            jitter_seconds=network.jitter_ms / 1000,
            loss_in=network.loss_in,
            loss_out=network.loss_out,
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
        loss = float(configuration["loss"])
        course = self.course(configuration, NetworkSpec(loss_in=loss, loss_out=loss))
        return 1000 * course.response_seconds, 100 * course.cores / self.host.cpus
