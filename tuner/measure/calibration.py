"""What the load engine itself adds and can do, measured on the path that requests take."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.measurement import Estimate


@dataclass(frozen=True)
class Calibration:
    """The load engine against a server in a container that does nothing but answer.

    `floor_ms` is the mean response time of one connection, `capacity_rps` the successful requests
    per second of `concurrency` connections, `client_cpu_us` the engine's CPU time per request
    then. `idle_power_w` is the power of the idle host, None where it has no RAPL.
    """

    floor_ms: Estimate
    capacity_rps: Estimate
    concurrency: int
    client_cpu_us: float
    idle_power_w: float | None = None
