"""A host that serves one model, as a closed product-form network solved by convolution. Pure.

`concurrency` requests circulate through a delay (network and retransmissions), one shared station
(the host's kernel and network path) and one station per replica, to each of which a request goes
with the same probability, however full it is. The rate of a replica depends on how many requests it
holds. Such a network has product form; its throughput is a ratio of normalisation constants
(J. P. Buzen, Computational algorithms for closed queueing networks with exponential servers,
Communications of the ACM 16(9), 1973; load-dependent stations as in Bruell and Balbo, Computational
Algorithms for Closed Queueing Networks, North-Holland, 1980). Replicas that together want more
than the host has share it: their common speed is the fixed point of a mean-field equation.

Nothing here is shared with `tune`: a sampler that knows the queueing model of the simulated backend
does not know this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from tuner.arrays import Floats

RETRANSMISSION_MS = 200.0


@dataclass(frozen=True)
class Model:
    """What serving a model costs: CPU time per request, packets, memory, idle CPU.

    `serial` is the share of a request's work that excludes others in the same replica (Amdahl).
    `packets` are those of a request and its response together. `host_ms` is spent on the shared
    station. `crowding` is the relative growth of CPU time when a replica gets no CPU at all.
    """

    service_ms: float
    base_mib: float
    request_mib: float
    serial: float = 0.06
    packets: float = 2.0
    network_ms: float = 0.3
    host_ms: float = 0.05
    idle_cores: float = 0.006
    lost_core_ms: float = 0.15
    crowding: float = 0.35


@dataclass(frozen=True)
class Served:
    """Mean response time, cores in use, and the speed at which a replica's CPU runs (0 to 1)."""

    response_ms: float
    cores: float
    speed: float


def normalisation(stations: list[tuple[Floats, int]], population: int) -> Floats:
    """Normalisation constants G(0..population) of a closed network.

    `stations`: factors f(0..population) of a station, f(n) = product over k <= n of demand over
    rate(k), and how many stations there are of the kind.
    """
    constants = np.zeros(population + 1)
    constants[0] = 1.0
    for factors, count in stations:
        power, left = factors, count
        while left:
            if left & 1:
                constants = np.convolve(constants, power)[: population + 1]
            power = np.convolve(power, power)[: population + 1]
            left >>= 1
    return constants


def throughput(stations: list[tuple[Floats, int]], population: int) -> float:
    """Cycles per unit of time of `population` customers."""
    constants = normalisation(stations, population)
    return float(constants[-2] / constants[-1])


def replica_rates(population: int, cpu: float, serial: float) -> Floats:
    """Cores that a replica keeps busy with n = 1..population requests: Amdahl, then its quota."""
    n = np.arange(1, population + 1)
    parallel = n / (1 + serial * (n - 1))
    # A smooth minimum: a quota is felt before it is reached, as it is given out in slices.
    rates: Floats = (parallel**-6.0 + cpu**-6.0) ** (-1 / 6)
    return rates


def retransmission_ms(loss: float, packets: float) -> float:
    """Mean delay per exchange of so many packets at `loss` percent, the timeout doubling each time.

    Without a limit on the number of retransmissions: timeout x q / (1 - 2 q).
    """
    q = 1.0 - math.pow(1.0 - loss / 100, packets)
    return RETRANSMISSION_MS * q / (1 - 2 * q)


def serve(
    model: Model, cpus: float, *, concurrency: int, replicas: int, cpu: float, loss: float
) -> Served:
    """The steady state of one configuration on a host of `cpus` cores."""
    n = np.arange(1, concurrency + 1)
    away = model.network_ms + retransmission_ms(loss, model.packets)
    delay = np.concatenate([[1.0], np.cumprod(away / n)])
    host = model.host_ms ** np.arange(concurrency + 1.0)
    rates = replica_rates(concurrency, cpu, model.serial)

    def cycles(speed: float) -> float:
        demand = _work_ms(model, speed) / speed / replicas
        replica = np.concatenate([[1.0], np.cumprod(demand / rates)])
        return throughput([(delay, 1), (host, 1), (replica, replicas)], concurrency)

    def too_fast(speed: float) -> float:
        wanted = cycles(speed) * _work_ms(model, speed) / speed
        return speed - float((1 + (wanted / cpus) ** 4) ** -0.25)

    speed = float(brentq(too_fast, 1e-3, 1.0, xtol=1e-7))
    rate = cycles(speed)
    retried = rate * model.packets * loss / 100 * model.lost_core_ms
    cores = rate * _work_ms(model, speed) + replicas * model.idle_cores + retried
    return Served(concurrency / rate, min(cores, cpus), speed)


def _work_ms(model: Model, speed: float) -> float:
    return model.service_ms * (1 + model.crowding * (1 - speed))


def working_set_mib(model: Model, concurrency: int, replicas: int) -> float:
    """Memory that the fullest replica needs: spread by chance, one holds more than its share."""
    share = concurrency / replicas
    held = min(concurrency, share + math.sqrt(share)) if replicas > 1 else concurrency
    return model.base_mib + model.request_mib * held
