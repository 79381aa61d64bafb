"""The limits of the load engine, measured on the path that requests take."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.measurement import Estimate


@dataclass(frozen=True)
class Calibration:
    """The load engine against a server in a container that only answers.

    `floor_ms` is the mean response time with one connection. `capacity_rps` is the successful
    requests per second with `concurrency` connections, and `client_cpu_us` the engine's CPU time
    per request at that load. `idle_power_w` is the power of the idle host, None without RAPL.
    """

    floor_ms: Estimate
    capacity_rps: Estimate
    concurrency: int
    client_cpu_us: float
    idle_power_w: float | None = None
