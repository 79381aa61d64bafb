"""The limits of the load engine, measured on the path that requests take."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.measurement import Estimate

MOST_OF_CAPACITY = 0.5
"""A burst that has a larger share of the load engine's capacity says more about it than about the
server."""


@dataclass(frozen=True)
class Calibration:
    """The load engine against a server in a container that only answers.

    `floor_ms` is the mean response time with one connection. `capacity_rps` is the successful
    requests per second with `concurrency` connections, sent by `senders` processes together, and
    `client_cpu_us` their CPU time per request at that load. `idle_power_w` is the power of the idle
    host, None without RAPL.
    """

    floor_ms: Estimate
    capacity_rps: Estimate
    concurrency: int
    client_cpu_us: float
    idle_power_w: float | None = None
    senders: int = 1

    def honest_rps(self, senders: int | None = None) -> float:
        """The most requests per second that so many senders (by default all) can be trusted with.

        It is half of the capacity, where a sender is busy for half of the time at most.
        """
        of_all = 1.0 if senders is None else min(1.0, senders / self.senders)
        return MOST_OF_CAPACITY * of_all * self.capacity_rps.value
