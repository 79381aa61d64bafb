"""The simulated host: what a configuration would measure without noise, and single requests.

The host gives the course of a burst, which has no noise. The requests of the burst are drawn from
its course, in virtual time: when each is due, sent and answered.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.arrays import Counts
from tuner.backends import queueing
from tuner.load.arrivals import trace_gaps
from tuner.measure.samples import RequestOutcome, RequestSamples
from tuner.spec.host import Host
from tuner.spec.space import Value
from tuner.spec.study import LoadProfile, LoadSpec, NetworkSpec

SPREAD = 0.35
"""Standard deviation of the logarithm of the time inside a replica."""

COLD_FACTOR = 6.0
COLD_REQUESTS = 2


@dataclass(frozen=True)
class Course:
    """Means of one burst: times per request, CPU time, share of time with a quota exhausted.

    `response_seconds` = `inside_seconds` (in the replica) + `network_seconds` + retransmissions.
    `jitter_seconds` is the standard deviation of each direction's delay, losses are percent of
    packets. All replicas together use `idle_cores` whatever they do, and `request_cpu_seconds` of
    CPU time for each request.
    """

    response_seconds: float
    inside_seconds: float
    network_seconds: float
    jitter_seconds: float
    loss_in: float
    loss_out: float
    idle_cores: float
    request_cpu_seconds: float
    throughput_rps: float
    throttled: float

    @property
    def cores(self) -> float:
        """The cores that all replicas together use on average."""
        return self.idle_cores + self.throughput_rps * self.request_cpu_seconds

    @property
    def exchange_loss(self) -> float:
        return queueing.exchange_loss(self.loss_in, self.loss_out)


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
        demand = min(replicas * cpu, concurrency)
        crowding = 1 + self.workload.contention * max(0.0, demand / cpus - 1)
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
        idle = replicas * self.workload.idle_cores
        over_quota = np.arange(len(queue.inside)) > replicas * cpu
        return Course(
            response_seconds=queue.response_seconds,
            inside_seconds=queue.response_seconds - outside - retransmission,
            network_seconds=outside,
            jitter_seconds=network.jitter_ms / 1000,
            loss_in=network.loss_in,
            loss_out=network.loss_out,
            idle_cores=idle,
            request_cpu_seconds=min(service, (cpus - idle) / throughput),
            throughput_rps=throughput,
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


@dataclass(frozen=True, eq=False)
class SimulatedRequests:
    """Requests as arrays of one shape; times are nanoseconds since the burst's start.

    `due` is when a request should be sent, `sent` when it is, `took` the time from then on, and
    `losses` how often it was lost.
    """

    due: Counts
    sent: Counts
    took: Counts
    losses: Counts
    connection: Counts


def closed_loop(
    course: Course,
    profile: LoadProfile,
    replicas: int,
    horizon: float,
    rng: np.random.Generator,
) -> SimulatedRequests:
    """Every connection sends when its last request is answered, until the horizon is filled.

    Arrays of shape (concurrency, requests).
    """
    requests = math.ceil(1.2 * horizon / course.response_seconds) + 20
    while True:
        cold = np.zeros((profile.concurrency, requests), dtype=bool)
        cold[:replicas, :COLD_REQUESTS] = True
        took, losses = _took(course, cold, profile.spec, rng)
        if took.sum(axis=1).min() > 1e9 * horizon:
            sent = np.cumsum(took, axis=1) - took
            connection = np.indices(took.shape)[0]
            return SimulatedRequests(sent, sent, took, losses, connection)
        requests *= 2


def open_loop(
    course: Course,
    profile: LoadProfile,
    replicas: int,
    horizon: float,
    rng: np.random.Generator,
) -> SimulatedRequests:
    """Requests are due at the profile's rate; the connection that is free first takes the next."""
    assert profile.rate_rps is not None
    count = math.ceil(profile.rate_rps * horizon) + 1
    gaps = np.full(count, 1 / profile.rate_rps)
    if profile.spec.arrivals == "poisson":
        gaps = rng.exponential(1 / profile.rate_rps, count)
    elif profile.gaps:
        recorded = trace_gaps(profile.gaps, profile.seed)
        gaps = np.fromiter(recorded, float, count) / profile.rate_rps
    due = np.rint(1e9 * np.cumsum(gaps)).astype(np.int64)
    took, losses = _took(course, np.arange(count) < COLD_REQUESTS * replicas, profile.spec, rng)
    sent, connection = np.empty_like(due), np.empty_like(due)
    free = [(0, n) for n in range(profile.concurrency)]
    for n in range(count):
        at, connection[n] = heapq.heappop(free)
        sent[n] = max(at, due[n])
        heapq.heappush(free, (int(sent[n] + took[n]), int(connection[n])))
    return SimulatedRequests(due, sent, took, losses, connection)


def _took(
    course: Course, cold: npt.NDArray[np.bool_], spec: LoadSpec, rng: np.random.Generator
) -> tuple[Counts, Counts]:
    """Nanoseconds and losses of requests; what would take longer takes the timeout exactly."""
    shape = cold.shape
    losses = np.minimum(
        rng.geometric(1 - course.exchange_loss, shape) - 1, queueing.MAX_RETRANSMISSIONS
    )
    inside = course.inside_seconds * np.exp(rng.normal(-(SPREAD**2) / 2, SPREAD, shape))
    inside[cold] *= COLD_FACTOR
    network = course.network_seconds
    if course.jitter_seconds:
        both_ways = rng.normal(0.0, math.sqrt(2) * course.jitter_seconds, shape)
        inside += np.maximum(-network, both_ways)
    took = network + inside + queueing.retransmission_seconds(losses)
    return np.rint(1e9 * np.minimum(took, spec.timeout_seconds)).astype(np.int64), losses


def samples_of(
    requests: SimulatedRequests, began: int, replicas: int, spec: LoadSpec
) -> tuple[RequestSamples, Counts]:
    """Samples in order of completion from `began` on, and the losses of each."""
    order = np.argsort(requests.sent + requests.took, axis=None, kind="stable")
    due, sent, took, losses, connection = (
        array.ravel()[order]
        for array in (
            requests.due,
            requests.sent,
            requests.took,
            requests.losses,
            requests.connection,
        )
    )
    timed_out = took == round(1e9 * spec.timeout_seconds)
    samples = RequestSamples(
        start_ns=began + due,
        delay_ns=sent - due,
        duration_ns=sent + took - due,
        status=np.where(timed_out, 0, 200).astype(np.int16),
        outcome=np.where(timed_out, RequestOutcome.TIMEOUT, RequestOutcome.OK).astype(np.int8),
        replica=(connection % replicas).astype(np.int16),
        connection=connection.astype(np.int32),
        request=np.arange(len(order), dtype=np.int32),
    )
    return samples, losses
