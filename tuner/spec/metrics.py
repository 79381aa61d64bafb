"""The metrics that a measurement can hold: what may be an objective or stand in a constraint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """A name, its unit, the direction in which it is better, and its definition."""

    name: str
    unit: str
    better: Direction
    label: str
    description: str


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric(
            "art_ms",
            "ms",
            "minimize",
            "ART",
            "arithmetic mean response time of successful requests in the window",
        ),
        Metric("p50_ms", "ms", "minimize", "p50", "median response time"),
        Metric("p90_ms", "ms", "minimize", "p90", "90th percentile of response time"),
        Metric("p95_ms", "ms", "minimize", "p95", "95th percentile of response time"),
        Metric("p99_ms", "ms", "minimize", "p99", "99th percentile of response time"),
        Metric(
            "throughput_rps",
            "requests/s",
            "maximize",
            "throughput",
            "successful requests per second of the window",
        ),
        Metric(
            "error_rate",
            "",
            "minimize",
            "error rate",
            "share of requests in the window that did not succeed, 0 to 1",
        ),
        Metric(
            "cpu_percent",
            "% of host",
            "minimize",
            "CPU usage",
            "CPU time of all replicas over wall time, 100 = whole host busy",
        ),
        Metric(
            "cpu_cores",
            "cores",
            "minimize",
            "CPU cores",
            "CPU time of all replicas over wall time, in cores",
        ),
        Metric(
            "cpu_ms_per_request",
            "ms",
            "minimize",
            "CPU per request",
            "CPU time of all replicas per successful request",
        ),
        Metric(
            "memory_peak_mib",
            "MiB",
            "minimize",
            "peak memory",
            "sum over replicas of the peak memory charged since start",
        ),
        Metric(
            "throttled_percent",
            "%",
            "minimize",
            "throttled",
            "share of CFS periods in which a replica was throttled",
        ),
        Metric(
            "major_faults_per_s",
            "1/s",
            "minimize",
            "major faults",
            "page faults of all replicas that had to read from disk",
        ),
    )
}
