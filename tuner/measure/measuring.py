"""Makes the measurement of a burst. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuner.measure import resources
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.packet_loss import loss_metrics, loss_parts
from tuner.measure.plugin_metrics import MeasuredWindow, added_metrics
from tuner.measure.samples import Burst, Drops, RequestOutcome, RequestSamples, late_requests
from tuner.measure.statistics import (
    NANOSECONDS,
    around,
    art,
    batches,
    percentile,
    proportion,
    rate,
    scarce_percentile,
)
from tuner.measure.validity import CheckedBurst, findings
from tuner.spec.metrics import PERCENTILES
from tuner.spec.study import LoadSpec


def measure_burst(
    burst: Burst,
    host_cpus: int,
    batch_seconds: float,
    drops: Sequence[Drops] = (),
    calibration: Calibration | None = None,
    max_foreign_percent: float = LoadSpec.max_foreign_percent,
    *,
    latency_bound_ms: float | None = None,
    needed: Collection[str] = (),
) -> Measurement:
    """The metrics of `tuner.spec.metrics` that `burst` shows, with intervals where possible.

    A request counts if it completes inside the window. Response times are those of successful
    requests; the others are counted by outcome. Means have intervals by batch means over spans
    of `batch_seconds`. Counters have their own clock, so their differences are divided by the time
    between their two readings. `host_cpus` is the number of CPUs of the containers' host. `drops`
    is what an impaired network dropped, `max_foreign_percent` the share of the host's CPUs that
    other processes may take. `latency_bound_ms` is what a request must keep to count as goodput.
    A percentile needs many requests; one of the metrics that are `needed` is estimated from fewer
    too, with a wide interval. A metric that could not be measured is absent, never zero.
    """
    samples = burst.samples
    end = samples.start_ns + samples.duration_ns
    before = end < burst.window_start_ns
    window = samples.select(~before & (end < burst.window_end_ns))
    good = window.outcome == RequestOutcome.OK
    seconds = (burst.window_end_ns - burst.window_start_ns) / NANOSECONDS
    metrics = {
        **_requests(burst, window, batch_seconds, needed),
        **_goodput(burst, window, batch_seconds, latency_bound_ms),
        **resources.of_replicas(burst, host_cpus),
        **resources.of_client(burst),
        **resources.of_host(burst, calibration),
    }
    if "power_w" in metrics and "throughput_rps" in metrics:
        each = metrics["power_w"].value / metrics["throughput_rps"].value
        metrics["energy_j_per_request"] = Estimate(each)
    parts = loss_parts(burst, window, batch_seconds)
    if parts is not None:
        metrics |= loss_metrics(parts)
    metrics |= added_metrics(MeasuredWindow(burst, window, seconds, dict(metrics), host_cpus))
    evidence = CheckedBurst(
        burst, window, metrics, tuple(drops), calibration, max_foreign_percent, frozenset(needed)
    )
    return Measurement(
        metrics=metrics,
        findings=findings(evidence),
        requests=len(window),
        warmup_requests=int(np.count_nonzero(before)),
        window_seconds=seconds,
        saved_seconds=burst.saved_seconds,
        stop_reason=burst.stop_reason,
        errors={
            outcome.name: count
            for outcome in RequestOutcome
            if outcome is not RequestOutcome.OK
            and (count := int(np.count_nonzero(window.outcome == outcome)))
        },
        replicas=tuple(_replicas(burst, window.select(good), seconds)),
        client=_client(burst),
        source=burst.counters_end[0].source if burst.counters_end else "",
        loss=parts,
    )


def _client(burst: Burst) -> Mapping[str, Any]:
    """Where the load engine ran and, of several senders, how busy each of them was."""
    senders = resources.of_senders(burst)
    return burst.client if len(senders) == 1 else {**burst.client, "sender": senders}


def _requests(
    burst: Burst, window: RequestSamples, batch_seconds: float, needed: Collection[str]
) -> dict[str, Estimate]:
    """The metrics of the requests."""
    metrics: dict[str, Estimate] = {}
    good = window.outcome == RequestOutcome.OK
    seconds = (burst.window_end_ns - burst.window_start_ns) / NANOSECONDS
    if len(window):
        metrics["error_rate"] = proportion(int(np.count_nonzero(~good)), len(window))
    if burst.rate_rps is not None and (late := _late(burst)) is not None:
        metrics["late_percent"] = late
    if not good.any():
        return metrics
    span_ns = round(batch_seconds * NANOSECONDS)
    spans = batches(burst.samples, burst.window_start_ns, burst.window_end_ns, span_ns)
    duration_ms = np.sort(window.duration_ns[good]) / 1e6
    metrics["art_ms"] = around(float(duration_ms.mean()), art(spans))
    for name, p in PERCENTILES.items():
        of = scarce_percentile if name in needed else percentile
        if (estimate := of(duration_ms, p)) is not None:
            metrics[name] = estimate
    throughput = int(np.count_nonzero(good)) / seconds
    metrics["throughput_rps"] = rate(spans, batch_seconds, throughput)
    if (cores := resources.cores(burst)) is not None:
        each = resources.per_request(burst.cpu, spans, batch_seconds)
        metrics["cpu_ms_per_request"] = around(1000 * cores.value / throughput, each)
    return metrics


def _goodput(
    burst: Burst, window: RequestSamples, batch_seconds: float, bound_ms: float | None
) -> dict[str, Estimate]:
    """Successful requests per second that took at most `bound_ms`; nothing without a bound."""
    if bound_ms is None or not len(window):
        return {}
    kept = burst.samples.select(burst.samples.duration_ns <= bound_ms * 1e6)
    span_ns = round(batch_seconds * NANOSECONDS)
    spans = batches(kept, burst.window_start_ns, burst.window_end_ns, span_ns)
    in_time = (window.outcome == RequestOutcome.OK) & (window.duration_ns <= bound_ms * 1e6)
    seconds = (burst.window_end_ns - burst.window_start_ns) / NANOSECONDS
    return {"goodput_rps": rate(spans, batch_seconds, int(np.count_nonzero(in_time)) / seconds)}


def _late(burst: Burst) -> Estimate | None:
    """Percent of the requests due in the window that were not sent on time."""
    samples = burst.samples
    due = (samples.start_ns >= burst.window_start_ns) & (samples.start_ns < burst.window_end_ns)
    if not due.any():
        return None
    late = int(np.count_nonzero(late_requests(burst)))
    late_share = proportion(late, int(np.count_nonzero(due)))
    return resources.scaled(late_share, 100)


def _replicas(burst: Burst, good: RequestSamples, seconds: float) -> Iterator[Mapping[str, float]]:
    """The metrics of each replica: of its successful requests and of its counters."""
    pairs = zip(burst.counters_start, burst.counters_end, strict=True)
    for index, pair in enumerate(pairs):
        mine = good.replica == index
        metrics = {"throughput_rps": int(np.count_nonzero(mine)) / seconds}
        if mine.any():
            metrics["art_ms"] = float(good.duration_ns[mine].mean() / 1e6)
        yield metrics | resources.of_counters((pair,))
