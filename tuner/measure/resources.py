"""Metrics of a window from the counters of replicas, load engine and host. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuner.arrays import Floats
from tuner.measure.calibration import Calibration
from tuner.measure.host_use import host_use
from tuner.measure.measurement import Estimate
from tuner.measure.powercap import joules
from tuner.measure.samples import Burst, ClientCounters, ContainerCounters, CpuReadings
from tuner.measure.statistics import NANOSECONDS, Batches, proportion, ratio

_FEWEST_STEPS = 3
"""So many differences between readings have an interval worth the name."""

Pairs = Sequence[tuple[ContainerCounters, ContainerCounters]]
"""The counters of each replica at the window's start and end."""


def cores(burst: Burst) -> Estimate | None:
    """CPU time of all replicas over wall time, in cores, with an interval over batches.

    Each replica's CPU time is divided by the time between its own two readings. Without usable
    readings of the batches those at the window's two ends are used, without an interval. None
    without counters.
    """
    if (by_batches := cores_of(burst.cpu)) is not None:
        return by_batches
    whole = of_counters(_pairs(burst)).get("cpu_cores")
    return None if whole is None else Estimate(whole)


def cores_of(cpu: CpuReadings) -> Estimate | None:
    """The same from the readings of the batches alone; None where a clock stood still.

    A source that counts more slowly than batches pass gives the same reading again: batches are
    joined then, and there is an interval if enough of them are left.
    """
    steps = _steps(_advanced(cpu))
    if steps is None:
        return None
    used, wall = steps
    return ratio(used * wall, wall)


def per_request(cpu: CpuReadings, spans: Batches, batch_seconds: float) -> Estimate | None:
    """CPU time in ms for each successful request; None without readings for each batch."""
    steps = _steps(cpu)
    if steps is None or len(steps[0]) != len(spans):
        return None
    return ratio(1000 * batch_seconds * steps[0], spans.count)


def cores_of_batches(cpu: CpuReadings) -> Floats | None:
    """Cores used in each batch by all replicas, shape (k,); None where a clock stood still."""
    steps = _steps(cpu)
    return None if steps is None else steps[0]


def _advanced(cpu: CpuReadings) -> CpuReadings:
    """The readings since each of which every clock went on; all where too few would be left."""
    kept = [0]
    for row in range(1, len(cpu.time_ns)):
        if (cpu.time_ns[row] > cpu.time_ns[kept[-1]]).all():
            kept.append(row)
    if len(kept) <= _FEWEST_STEPS:
        return cpu
    return CpuReadings(cpu.time_ns[kept], cpu.cpu_ns[kept])


def _steps(cpu: CpuReadings) -> tuple[Floats, Floats] | None:
    """Cores used by all replicas, and wall time in ns, of each batch.

    None where a clock stood still.
    """
    wall = np.diff(cpu.time_ns, axis=0).astype(np.float64)
    if not wall.size or (wall <= 0).any():
        return None
    return (np.diff(cpu.cpu_ns, axis=0) / wall).sum(axis=1), wall.mean(axis=1)


def of_replicas(burst: Burst, host_cpus: int) -> dict[str, Estimate]:
    """Metrics of all replicas together. `host_cpus` is the number of CPUs of their host."""
    used = cores(burst)
    if used is None:
        return {}
    return {
        **{name: Estimate(value) for name, value in of_counters(_pairs(burst)).items()},
        **_shares(_pairs(burst)),
        "cpu_cores": used,
        "cpu_percent": scaled(used, 100 / host_cpus),
    }


def _pairs(burst: Burst) -> Pairs:
    return tuple(zip(burst.counters_start, burst.counters_end, strict=True))


def of_counters(pairs: Pairs) -> dict[str, float]:
    """Metrics of the counters of some replicas. A metric whose counter is missing is absent.

    All are absent without replicas, or where a clock stood still.
    """
    if not pairs or any(after.time_ns <= before.time_ns for before, after in pairs):
        return {}
    seconds = [(after.time_ns - before.time_ns) / NANOSECONDS for before, after in pairs]
    used = [
        (after.cpu_ns - before.cpu_ns, after.time_ns - before.time_ns) for before, after in pairs
    ]
    metrics: dict[str, float] = {
        "cpu_cores": sum(cpu / wall for cpu, wall in used),
        "memory_peak_mib": sum(after.memory_peak_bytes for _, after in pairs) / 2**20,
    }
    rates = {
        "major_faults_per_s": ("major_faults", 1.0),
        "memory_limit_hits_per_s": ("memory_limit_hits", 1.0),
        "received_mib_per_s": ("received_bytes", 2**20),
        "sent_mib_per_s": ("sent_bytes", 2**20),
    }
    for metric, (counter, unit) in rates.items():
        if (grown := _grown(pairs, counter)) is not None:
            metrics[metric] = sum(g / s for g, s in zip(grown, seconds, strict=True)) / unit
    shares = {
        "replica_wait_percent": "wait_ns",
        "cpu_pressure_percent": "cpu_pressure_ns",
        "memory_pressure_percent": "memory_pressure_ns",
        "io_pressure_percent": "io_pressure_ns",
    }
    for metric, counter in shares.items():
        if (grown := _grown(pairs, counter)) is not None:
            each = [g / s / NANOSECONDS for g, s in zip(grown, seconds, strict=True)]
            metrics[metric] = 100 * sum(each) / len(each)
    return metrics | {name: share.value for name, share in _shares(pairs).items()}


def _shares(pairs: Pairs) -> dict[str, Estimate]:
    """Those of the metrics that count how many of N something befell, with intervals."""
    shares = {}
    # Without a CPU quota there are no periods, without segments no share of them.
    for metric, part, whole in (
        ("throttled_percent", "throttled_periods", "periods"),
        ("retransmitted_percent", "retransmitted", "segments_sent"),
    ):
        parts, wholes = _grown(pairs, part), _grown(pairs, whole)
        if parts is not None and wholes is not None and sum(wholes) > 0:
            count, of = round(sum(parts)), round(sum(wholes))
            shares[metric] = scaled(proportion(min(count, of), of), 100)
    return shares


def _grown(pairs: Pairs, counter: str) -> list[float] | None:
    """How much a counter grew in each replica; None where one of them lacks it."""
    growth = []
    for before, after in pairs:
        first, last = getattr(before, counter), getattr(after, counter)
        if first is None or last is None:
            return None
        # The time that a thread waited goes with the thread, so a sum over threads may shrink.
        growth.append(max(0.0, float(last - first)))
    return growth


def of_client(burst: Burst) -> dict[str, Estimate]:
    """How busy the load engine was, and how long it waited for a CPU, in percent.

    Of several senders each is the largest: that of the sender that is most in doubt.
    """
    senders = of_senders(burst)
    metrics = {"client_cpu_percent": Estimate(max(one["cpu_percent"] for one in senders))}
    if all("wait_percent" in one for one in senders):
        metrics["client_wait_percent"] = Estimate(max(one["wait_percent"] for one in senders))
    return metrics


def of_senders(burst: Burst) -> tuple[Mapping[str, float], ...]:
    """The same of each sender, as `cpu_percent` and, where it is known, `wait_percent`."""
    return tuple(map(_of_sender, burst.client_start, burst.client_end))


def _of_sender(before: ClientCounters, after: ClientCounters) -> Mapping[str, float]:
    wall = after.time_ns - before.time_ns
    of = {"cpu_percent": 100 * (after.cpu_ns - before.cpu_ns) / wall}
    if before.wait_ns is not None and after.wait_ns is not None:
        of["wait_percent"] = 100 * max(0, after.wait_ns - before.wait_ns) / wall
    return of


def client_cpu_ns(burst: Burst) -> int:
    """The CPU time of all senders in the window."""
    pairs = zip(burst.client_start, burst.client_end, strict=True)
    return sum(after.cpu_ns - before.cpu_ns for before, after in pairs)


def of_host(burst: Burst, calibration: Calibration | None) -> dict[str, Estimate]:
    """Metrics of the host of replicas and load engine; none where these are on different hosts.

    Foreign CPU time is that of processes other than the replicas, the load engine and `tune`. Power
    is that of the whole host less its idle power.
    """
    before, after = burst.host_start, burst.host_end
    if before is None or after is None:
        return {}
    wall = after.time_ns - before.time_ns
    client = client_cpu_ns(burst)
    replicas = cores(burst)
    use = host_use(before, after, client + wall * (replicas.value if replicas else 0.0))
    metrics = {"steal_percent": Estimate(use.steal_percent)}
    if replicas is not None:
        metrics["foreign_percent"] = Estimate(use.foreign_percent)
    energy = joules(before.energy_uj, after.energy_uj)
    if energy is not None and calibration is not None and calibration.idle_power_w is not None:
        metrics["power_w"] = Estimate(
            max(0.0, energy * NANOSECONDS / wall - calibration.idle_power_w)
        )
    return metrics


def scaled(estimate: Estimate, by: float) -> Estimate:
    """The estimate multiplied by `by` (> 0), as in another unit."""
    low, high = (None if v is None else by * v for v in (estimate.low, estimate.high))
    return Estimate(by * estimate.value, low, high)
