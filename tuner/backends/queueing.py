"""Mathematics of the simulated host: a closed queueing network of two stations. Pure.

`population` requests circulate for ever. Outside the replicas (network, retransmission) they
delay each other not at all; inside they share CPU time equally, and how fast they are served
depends on how many they are. Such a network has product form whatever the distributions of delay
and CPU time are (Baskett, Chandy, Muntz and Palacios, Journal of the ACM 22(2), 1975); with one
station of each kind it is the machine-repairman model (Scherr, An Analysis of Time-Shared Computer
Systems, MIT Press, 1967), solved here through its birth-death form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from tuner.arrays import Floats

RETRANSMISSION_SECONDS = 0.2
"""Linux's least TCP retransmission timeout; it doubles with each loss in a row (RFC 6298)."""

MAX_RETRANSMISSIONS = 5


@dataclass(frozen=True, eq=False)
class Queue:
    """The steady state: requests per second, seconds per cycle, and how many are inside.

    `response_seconds` is delay plus time inside, so throughput x response = population (Little's
    law). `inside` is the distribution of the number inside, shape (population + 1,).
    """

    throughput: float
    response_seconds: float
    inside: Floats


def solve(rates: npt.ArrayLike, delay_seconds: float) -> Queue:
    """The network of `len(rates)` requests, `rates[n - 1]` being requests/s while n are inside.

    Exact. Raises ValueError where nobody circulates, a rate is not positive or the delay negative.
    """
    rates = np.asarray(rates, dtype=np.float64)
    population = len(rates)
    if population == 0 or (rates <= 0).any() or delay_seconds < 0:
        raise ValueError("rates must be positive, at least one, and the delay not negative")
    inside = np.zeros(population + 1)
    if delay_seconds == 0:
        inside[-1] = 1.0
    else:
        # p(n) / p(0) = product over k = 1..n of (population - k + 1) / (delay x rate(k)).
        n = np.arange(population + 1)
        logs = gammaln(population + 1) - gammaln(population - n + 1)
        logs[1:] -= np.cumsum(math.log(delay_seconds) + np.log(rates))
        weights = np.exp(logs - logs.max())
        inside = weights / weights.sum()
    throughput = float(inside[1:] @ rates)
    return Queue(throughput, population / throughput, inside)


def cores_in_use(concurrency: int, replicas: int, cpu: float, host_cpus: float) -> Floats:
    """Cores that n requests keep busy, for n = 1..concurrency; shape (concurrency,).

    Requests are spread over the replicas as evenly as can be; each keeps at most one core busy,
    each replica at most its quota `cpu`, all together at most `host_cpus`.
    """
    n = np.arange(1, concurrency + 1)
    each, more = np.divmod(n, replicas)
    busy = more * np.minimum(each + 1, cpu) + (replicas - more) * np.minimum(each, cpu)
    capped: Floats = np.minimum(busy, host_cpus)
    return capped


def exchange_loss(loss_in: float, loss_out: float) -> float:
    """Probability that a request or its response is lost, one packet each way; from percents."""
    return 1.0 - (1.0 - loss_in / 100) * (1.0 - loss_out / 100)


def retransmission_seconds(retransmissions: npt.ArrayLike) -> Floats:
    """Delay of so many losses in a row: 0.2 s, 0.6 s, 1.4 s, ..."""
    backoffs: Floats = 2.0 ** np.asarray(retransmissions, dtype=np.float64) - 1
    return RETRANSMISSION_SECONDS * backoffs


def mean_retransmission_seconds(lost: float) -> float:
    """Mean delay per request, exchanges being lost with that probability.

    Each of at most five retransmissions is lost like the first.
    """
    steps = np.diff(retransmission_seconds(np.arange(MAX_RETRANSMISSIONS + 1)))
    return float(np.sum(steps * lost ** np.arange(1, MAX_RETRANSMISSIONS + 1)))
