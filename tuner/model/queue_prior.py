"""What queueing theory expects of a configuration: the prior mean of a model that corrects it.

Usually `concurrency` requests circulate in a closed loop between a delay (network,
retransmissions), where they do not hinder one another, and the replicas, whose rate depends on how
many requests are inside: the machine-repairman model with load-dependent rates, solved as a
birth-death chain (Kleinrock, Queueing Systems I, Wiley, 1975, section 3.8); for many requests by
its fluid limit. With a `rate` requests come at random at that rate, however many are inside
already. The few parameters are fitted to a study's own measurements (`queue_fit`). It is rough by
intention: limits are soft, requests are spread evenly, and a Gaussian process learns what it
misses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.model.candidates import numbers
from tuner.model.gp import LogNormal
from tuner.spec.space import SearchSpace, Value

PARAMETERS: Mapping[str, LogNormal] = {
    "service_s": LogNormal(0.01, 2.0),
    "request_cores": LogNormal(1.0, 0.3),
    "idle_cores": LogNormal(0.005, 1.2),
    "host_cores": LogNormal(4.0, 0.7),
    "contention": LogNormal(0.1, 1.0),
    "delay_s": LogNormal(0.0005, 1.2),
    "retransmission_s": LogNormal(0.3, 0.8),
}
"""What is fitted, each with its prior: CPU time per request in seconds, cores that one request
keeps busy, cores of an idle replica, cores of the host, relative growth of the CPU time at a fully
busy host, delay per request outside the replicas, delay per lost exchange."""

OUTPUTS: Mapping[str, str] = {
    "art_ms": "response",
    "p50_ms": "response",
    "p90_ms": "response",
    "p95_ms": "response",
    "p99_ms": "response",
    "throughput_rps": "throughput",
    "cpu_percent": "cores",
    "cpu_cores": "cores",
    "cpu_ms_per_request": "per_request",
}
"""The metrics that the queue speaks of, and as what; percentiles as the mean times a factor."""

_SOFTNESS = 6.0
_STATES = 96
_WAITING = 64

Theta = tuple[Floats, Floats, Floats, Floats]
Solution = tuple[Floats, Floats, Floats]
"""Requests per second, busy cores, and seconds until the answer, shape (k, n) each."""


@dataclass(frozen=True, eq=False)
class Loads:
    """What the queue wants to know of n configurations; each array has shape (n,).

    Milliseconds of `delay` count each way; `lost` is the probability that a request or its response
    is lost. `rate` is 0 in a closed loop, else the requests due per second.
    """

    concurrency: Floats
    replicas: Floats
    cpu: Floats
    lost: Floats
    delay: Floats
    rate: Floats

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        configurations: Sequence[Mapping[str, Value]],
        host_cpus: float | None = None,
    ) -> Loads:
        """Parameters that the space lacks have their usual meaning, inactive ones their default."""

        def column(name: str, usual: float) -> Floats:
            return numbers(space, configurations, name, usual)

        loss = column("loss", 0.0)
        loss_in, loss_out = column("loss_in", 0.0), column("loss_out", 0.0)
        survives = (1 - loss / 100) ** 2 * (1 - loss_in / 100) * (1 - loss_out / 100)
        return cls(
            np.maximum(column("concurrency", 1), 1),
            np.maximum(column("replicas", 1), 1),
            np.maximum(column("cpu", host_cpus or 1.0), 1e-3),
            np.clip(1.0 - survives, 0.0, 0.45),
            np.maximum(column("delay", 0.0), 0.0),
            np.maximum(column("rate", 0.0), 0.0),
        )

    @property
    def table(self) -> Floats:
        return np.column_stack([getattr(self, f.name) for f in fields(self)])

    def at(self, rows: Indices) -> Loads:
        return Loads(*self.table[rows].T)

    def distinct(self) -> tuple[Loads, Indices]:
        """The different ones, and which of them each configuration is."""
        rows, inverse = np.unique(self.table, axis=0, return_inverse=True)
        return Loads(*rows.T), inverse.reshape(-1)


def solved(loads: Loads, logs: Floats) -> Mapping[str, Floats]:
    """Logarithms of the `OUTPUTS`, shape (k, n), for k rows of logarithms of `PARAMETERS`.

    Response in ms, throughput in requests/s, cores, and ms of CPU time per request.
    """
    theta = np.exp(np.clip(np.atleast_2d(logs), -25.0, 10.0))[:, :, None]
    service, width, idle, host, contention, base, retransmission = np.moveaxis(theta, 1, 0)
    lost = loads.lost
    # Timeouts double with each loss in a row: sum of lost^i 2^(i-1).
    outside = base + 2e-3 * loads.delay + retransmission * lost / (1.0 - 2.0 * lost)
    is_open, few = loads.rate > 0, loads.concurrency <= _STATES
    throughput, used, response = (np.empty(outside.shape) for _ in range(3))
    kinds = ((few & ~is_open, _chain), (~few & ~is_open, _fluid), (is_open, _stream))
    for part, solver in kinds:
        if part.any():
            throughput[:, part], used[:, part], response[:, part] = solver(
                loads.at(np.flatnonzero(part)),
                outside[:, part],
                (service, width, host, contention),
            )
    cores = used + idle * loads.replicas
    return {
        "response": np.log(1000.0 * response),
        "throughput": np.log(throughput),
        "cores": np.log(cores),
        "per_request": np.log(1000.0 * cores / throughput),
    }


def _rate(inside: Floats, loads: Sequence[Floats], theta: Theta) -> tuple[Floats, Floats]:
    """Requests per second, and busy cores, while so many are inside."""
    replicas, cpu = loads
    service, width, host, contention = theta
    active = np.minimum(inside, replicas)
    demand = width * np.maximum(inside / replicas, 1.0)
    cores = _least(active * _least(demand, cpu), host)
    return cores / (service * (1.0 + contention * cores / host)), cores


def _least(a: Floats, b: Floats) -> Floats:
    """A soft minimum."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    minimum: Floats = low * (1.0 + (low / high) ** _SOFTNESS) ** (-1.0 / _SOFTNESS)
    return minimum


def _chain(loads: Loads, outside: Floats, theta: Theta) -> Solution:
    """Where each request outside comes in by itself; all are inside or outside."""
    states = np.arange(1.0, loads.concurrency.max() + 1)
    rate, cores = _rates(states, loads, theta)
    left = loads.concurrency[:, None] - states + 1.0
    possible = left > 0
    steps = np.log(np.where(possible, left, 1.0)) - np.log(outside[:, :, None] * rate)
    share = _shares(np.where(possible, np.cumsum(steps, axis=-1), -np.inf))
    throughput = (share * rate).sum(axis=-1)
    return throughput, (share * cores).sum(axis=-1), loads.concurrency / throughput


def _stream(loads: Loads, outside: Floats, theta: Theta) -> Solution:
    """Where they come at a rate; those beyond the concurrency wait for a connection. Beyond a long
    queue they get lost, so that there is an answer for a rate that is too high.
    """
    states = np.arange(1.0, min(float(loads.concurrency.max()), _STATES) + _WAITING)
    rate, cores = _rates(np.minimum(states, loads.concurrency[:, None]), loads, theta)
    steps = np.log(loads.rate[:, None]) - np.log(rate)
    share = _shares(np.cumsum(steps, axis=-1))
    throughput = (share * rate).sum(axis=-1)
    inside = (share * states).sum(axis=-1)
    return throughput, (share * cores).sum(axis=-1), outside + inside / throughput


def _rates(inside: Floats, loads: Loads, theta: Theta) -> tuple[Floats, Floats]:
    service, width, host, contention = (t[:, :, None] for t in theta)
    side = (loads.replicas[:, None], loads.cpu[:, None])
    return _rate(inside, side, (service, width, host, contention))


def _shares(logs: Floats) -> Floats:
    """Probabilities of 1, 2, ... inside from the logarithms of their ratio to that of none."""
    top = np.maximum(logs.max(axis=-1, keepdims=True), 0.0)
    weights = np.exp(logs - top)
    shares: Floats = weights / (np.exp(-top) + weights.sum(axis=-1, keepdims=True))
    return shares


def _fluid(loads: Loads, outside: Floats, theta: Theta) -> Solution:
    """Where as many enter as leave: rate(n) x outside = concurrency - n, by bisection."""
    low = np.zeros(outside.shape)
    high = np.broadcast_to(loads.concurrency, outside.shape).copy()
    side = (loads.replicas, loads.cpu)
    for _ in range(40):
        middle = (low + high) / 2
        rate, _cores = _rate(middle, side, theta)
        enters = loads.concurrency - middle > rate * outside
        low, high = np.where(enters, middle, low), np.where(enters, high, middle)
    throughput, cores = _rate((low + high) / 2, side, theta)
    return throughput, cores, loads.concurrency / throughput
