"""From a burst to its measurement: a pure function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.samples import Burst, ContainerCounters, Outcome
from tuner.measure.score import PERCENTILES
from tuner.measure.statistics import NANOSECONDS, art, batches, percentile, rate, share
from tuner.measure.validity import findings


def measure(burst: Burst, host_cpus: int, batch_seconds: float) -> Measurement:
    """All metrics of `tuner.spec.metrics` that `burst` shows, with intervals where it can.

    A request counts if it completes inside the window. Response times are those of successful
    requests; the others are counted by outcome. ART and throughput have intervals by batch means
    over spans of `batch_seconds`. The counters have their own clock: CPU time is divided by
    the time between their two readings. `host_cpus` is the number of CPUs of the containers'
    host. Whatever could not be measured is absent, never zero.
    """
    samples = burst.samples
    end = samples.start_ns + samples.duration_ns
    before = end < burst.window_start_ns
    window = samples.select(~before & (end < burst.window_end_ns))
    good = window.outcome == Outcome.OK
    seconds = (burst.window_end_ns - burst.window_start_ns) / NANOSECONDS

    metrics: dict[str, Estimate] = {}
    if len(window):
        metrics["error_rate"] = share(int(np.count_nonzero(~good)), len(window))
    if good.any():
        span = round(batch_seconds * NANOSECONDS)
        spans = batches(samples, burst.window_start_ns, burst.window_end_ns, span)
        duration_ms = np.sort(window.duration_ns[good]) / 1e6
        metrics["art_ms"] = _around(float(duration_ms.mean()), art(spans))
        for name, p in PERCENTILES.items():
            if (estimate := percentile(duration_ms, p)) is not None:
                metrics[name] = estimate
        throughput = int(np.count_nonzero(good)) / seconds
        metrics["throughput_rps"] = rate(spans, batch_seconds, throughput)
    pairs = tuple(zip(burst.counters_start, burst.counters_end, strict=True))
    metrics |= {name: Estimate(value) for name, value in _resources(pairs, host_cpus).items()}
    if "throughput_rps" in metrics and "cpu_cores" in metrics:
        per_request = 1000 * metrics["cpu_cores"].value / metrics["throughput_rps"].value
        metrics["cpu_ms_per_request"] = Estimate(per_request)

    return Measurement(
        metrics=metrics,
        findings=findings(burst, window, metrics),
        requests=len(window),
        warmup_requests=int(np.count_nonzero(before)),
        window_seconds=seconds,
        stop_reason=burst.stop_reason,
        errors={
            outcome.name: count
            for outcome in Outcome
            if outcome is not Outcome.OK
            and (count := int(np.count_nonzero(window.outcome == outcome)))
        },
    )


def _around(value: float, of_batches: Estimate | None) -> Estimate:
    """The mean of the whole window with the interval of its whole batches.

    The two differ only where a last batch is not whole; the interval then moves along.
    """
    if of_batches is None or of_batches.low is None or of_batches.high is None:
        return Estimate(value)
    half = of_batches.high - of_batches.value
    return Estimate(value, max(0.0, value - half), value + half)


def _resources(
    pairs: Sequence[tuple[ContainerCounters, ContainerCounters]], host_cpus: int
) -> dict[str, float]:
    """Metrics of the containers' counters, summed over replicas."""
    if not pairs or any(after.time_ns <= before.time_ns for before, after in pairs):
        return {}

    def per_ns(name: str) -> float:
        return float(
            sum(
                (getattr(after, name) - getattr(before, name)) / (after.time_ns - before.time_ns)
                for before, after in pairs
            )
        )

    cores = per_ns("cpu_ns")
    found = {
        "cpu_percent": 100 * cores / host_cpus,
        "cpu_cores": cores,
        "memory_peak_mib": sum(after.memory_peak_bytes for _, after in pairs) / 2**20,
        "major_faults_per_s": per_ns("major_faults") * NANOSECONDS,
    }
    # Without a CPU quota there are no periods, so there is no share of them.
    if periods := sum(after.periods - before.periods for before, after in pairs):
        throttled = sum(
            after.throttled_periods - before.throttled_periods for before, after in pairs
        )
        found["throttled_percent"] = 100 * throttled / periods
    return found
