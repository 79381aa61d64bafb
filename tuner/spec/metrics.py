"""The metrics of a measurement. Each may be an objective or stand in a constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tuner.plugins import added_by_packages

Direction = Literal["minimize", "maximize"]

LATE_NS = 1_000_000
"""An open loop's request that is sent later than this after it was due counts as late."""


PERCENTILES: Mapping[str, float] = {"p50_ms": 0.50, "p90_ms": 0.90, "p95_ms": 0.95, "p99_ms": 0.99}
"""The metrics that are percentiles of response time."""


@dataclass(frozen=True)
class Metric:
    """A name, its unit, the direction in which it is better, and its definition.

    A metric of another package also has `compute`: a function from a `MeasuredWindow`
    (`tuner.measure.plugin_metrics`) to the value in its unit, zero or more: a number, or an
    `Estimate` (`tuner.measure.measurement`), or None where the burst does not show it. The metrics
    of tune itself are computed by `tuner.measure.measuring`.
    """

    name: str
    unit: str
    better: Direction
    label: str
    description: str
    compute: Callable[[Any], object] | None = None
    whole: float | None = None
    """The value where everything is counted, of a metric that is a share and may be 0."""
    events: bool = False
    """Whether it is a rate of events, so that it may be 0."""


BUILT_IN_METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric(
            "art_ms",
            "ms",
            "minimize",
            "ART",
            "arithmetic mean response time of the successful requests in the window",
        ),
        Metric("p50_ms", "ms", "minimize", "p50", "median response time"),
        Metric("p90_ms", "ms", "minimize", "p90", "90th percentile of response time"),
        Metric("p95_ms", "ms", "minimize", "p95", "95th percentile of response time"),
        Metric("p99_ms", "ms", "minimize", "p99", "99th percentile of response time"),
        Metric(
            "delayed_percent",
            "%",
            "minimize",
            "delayed",
            "share of successful requests that a lost packet delayed; only where packets are lost",
            whole=100,
        ),
        Metric(
            "loss_delay_ms",
            "ms",
            "minimize",
            "delay of a loss",
            "how much longer than the others those requests took, on average",
        ),
        Metric(
            "throughput_rps",
            "requests/s",
            "maximize",
            "throughput",
            "successful requests per second of the window",
        ),
        Metric(
            "goodput_rps",
            "requests/s",
            "maximize",
            "goodput",
            "successful requests per second that kept the latency bound: `load.latency_bound_ms`,"
            " or else the least bound of a constraint such as `p95_ms <= 80`",
            events=True,
        ),
        Metric(
            "capacity_rps",
            "requests/s",
            "maximize",
            "capacity",
            "highest rate of an open loop at which the study's other constraints hold (an error"
            " rate of 0.01 where there are none) and the backlog does not grow; the trial's other"
            " metrics are those at that rate",
        ),
        Metric(
            "error_rate",
            "",
            "minimize",
            "error rate",
            "share of requests in the window that did not succeed, 0 to 1",
            whole=1,
        ),
        Metric(
            "cpu_percent",
            "% of host",
            "minimize",
            "CPU usage",
            "CPU time of all replicas over wall time; 100 = the whole host is busy",
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
            "peak memory of each replica since its start, summed over the replicas",
        ),
        Metric(
            "ready_seconds",
            "s",
            "minimize",
            "start-up",
            "from the start of a replica until it has answered rightly, of the slowest one; not"
            " measured where a deployment is reused",
        ),
        Metric(
            "nodes",
            "",
            "minimize",
            "nodes",
            "on how many machines the replicas ran; with --backend swarm only",
        ),
        Metric(
            "reserved_cores",
            "cores",
            "minimize",
            "reserved cores",
            "replicas x cpu: exact, whatever is measured",
        ),
        Metric(
            "reserved_mib",
            "MiB",
            "minimize",
            "reserved memory",
            "replicas x memory: exact, whatever is measured",
        ),
        Metric(
            "cost_per_month",
            "",
            "minimize",
            "cost per month",
            "what the reserved cores and memory cost in a month of 730 hours, in the currency of"
            " the study's `prices`",
        ),
        Metric(
            "throttled_percent",
            "%",
            "minimize",
            "throttled",
            "share of CFS periods in which the CPU limit throttled a replica",
            whole=100,
        ),
        Metric(
            "major_faults_per_s",
            "1/s",
            "minimize",
            "major faults",
            "page faults of all replicas that read from disk",
            events=True,
        ),
        Metric(
            "memory_limit_hits_per_s",
            "1/s",
            "minimize",
            "memory limit hits",
            "how often replicas reached their memory limit and had to free memory",
            events=True,
        ),
        Metric(
            "received_mib_per_s",
            "MiB/s",
            "minimize",
            "received",
            "data that the replicas received over the network",
        ),
        Metric(
            "sent_mib_per_s",
            "MiB/s",
            "minimize",
            "sent",
            "data that the replicas sent over the network",
        ),
        Metric(
            "retransmitted_percent",
            "%",
            "minimize",
            "retransmitted",
            "share of the replicas' TCP segments that were sent again",
            whole=100,
        ),
        Metric(
            "cpu_pressure_percent",
            "%",
            "minimize",
            "CPU pressure",
            "share of time in which a task of a replica waited for a CPU, mean over replicas",
            whole=100,
        ),
        Metric(
            "memory_pressure_percent",
            "%",
            "minimize",
            "memory pressure",
            "share of time in which a task of a replica waited for memory, mean over replicas",
            whole=100,
        ),
        Metric(
            "io_pressure_percent",
            "%",
            "minimize",
            "I/O pressure",
            "share of time in which a task of a replica waited for I/O, mean over replicas",
            whole=100,
        ),
        Metric(
            "late_percent",
            "%",
            "minimize",
            "late",
            "share of an open loop's requests that were sent more than"
            f" {LATE_NS / 1e6:g} ms after they were due",
            whole=100,
        ),
        Metric(
            "power_w",
            "W",
            "minimize",
            "power",
            "power of the host's processors and memory (RAPL) above that of the idle host",
        ),
        Metric(
            "energy_j_per_request",
            "J",
            "minimize",
            "energy per request",
            "`power_w` divided by the successful requests per second",
        ),
        Metric(
            "client_cpu_percent",
            "% of a core",
            "minimize",
            "client CPU",
            "CPU time of the load engine over wall time; of several senders, the busiest one's",
        ),
        Metric(
            "client_wait_percent",
            "%",
            "minimize",
            "client wait",
            "share of time in which the load engine was ready to run and waited for a CPU; of"
            " several senders, the largest",
            whole=100,
        ),
        Metric(
            "replica_wait_percent",
            "%",
            "minimize",
            "replica wait",
            "time that the replicas' threads waited for a CPU over wall time, mean over replicas",
        ),
        Metric(
            "foreign_percent",
            "% of host",
            "minimize",
            "foreign CPU",
            "CPU time of the host that neither the replicas nor tune used; 100 = the whole host",
            whole=100,
        ),
        Metric(
            "steal_percent",
            "% of host",
            "minimize",
            "steal",
            "CPU time of the host that the hypervisor gave to other machines",
            whole=100,
        ),
    )
}


class _Metrics(Mapping[str, Metric]):
    """Those of tune, then those that installed packages add: looked for when first needed."""

    @cached_property
    def added(self) -> Mapping[str, Metric]:
        return added_by_packages(
            "tune.metrics",
            "a tuner.spec.metrics.Metric of that name, with `compute`",
            lambda name, loaded: (
                loaded
                if isinstance(loaded, Metric) and loaded.name == name and loaded.compute
                else None
            ),
            BUILT_IN_METRICS,
        )

    def __getitem__(self, name: str) -> Metric:
        return BUILT_IN_METRICS[name] if name in BUILT_IN_METRICS else self.added[name]

    def __iter__(self) -> Iterator[str]:
        yield from BUILT_IN_METRICS
        yield from self.added

    def __len__(self) -> int:
        return len(BUILT_IN_METRICS) + len(self.added)


METRICS: Mapping[str, Metric] = _Metrics()
"""Every metric by name. Raises SetupError where what a package adds is not a metric."""


def title(metric: str) -> str:
    """A metric as a column or an axis names it, `ART (ms)`; an unknown one by its own name."""
    definition = METRICS.get(metric)
    if definition is None:
        return metric
    return f"{definition.label} ({definition.unit})" if definition.unit else definition.label
