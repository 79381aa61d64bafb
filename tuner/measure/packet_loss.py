"""What lost packets do to one burst. Pure.

A lost packet delays its request by a retransmission timeout. Where TCP notices the loss sooner, the
request counts as undelayed. So ART is the mean of the undelayed requests plus the share of delayed
ones times their delay. The configuration decides the first, the network the other two, which
`tuner.measure.network_part` pools over a study.
"""

from __future__ import annotations

import numpy as np

from tuner.arrays import Counts, Floats, Mask
from tuner.measure import resources
from tuner.measure.measurement import CpuLine, Estimate, LossParts, Z, student
from tuner.measure.samples import Burst, RequestOutcome, RequestSamples
from tuner.measure.statistics import around, batches, proportion, ratio
from tuner.measure.stopping import LossSoFar

RETRANSMISSION_NS = 180_000_000
"""The least that a lost packet adds to a response time: Linux' shortest retransmission timeout
(TCP_RTO_MIN, 200 ms) less a tenth."""

FEWEST_FOR_SLOPE = 6
"""With fewer batches than these the slope of CPU usage over throughput is not estimated."""


def is_delayed(duration_ns: Counts, median_ns: float | None = None) -> Mask:
    """Which response times, shape (n,), a lost packet made longer, shape (n,).

    They are a retransmission timeout above the median. `median_ns` is that of the whole window, by
    default of these.
    """
    if not len(duration_ns):
        return np.zeros(0, np.bool_)
    median = np.median(duration_ns) if median_ns is None else median_ns
    return np.asarray(duration_ns >= median + RETRANSMISSION_NS)


def count_unclear(duration_ns: Counts, median_ns: float | None = None) -> int:
    """How many response times, shape (n,), may be delayed or not: half a timeout above the median
    at least, and less than a whole one.
    """
    if not len(duration_ns):
        return 0
    median = np.median(duration_ns) if median_ns is None else median_ns
    above = duration_ns - median
    return int(np.count_nonzero((above >= RETRANSMISSION_NS / 2) & (above < RETRANSMISSION_NS)))


def loss_of_samples(samples: RequestSamples, start_ns: int, end_ns: int, span_ns: int) -> LossSoFar:
    """What lost packets did in the window [start_ns, end_ns) of `samples`, in spans of time."""
    end = samples.start_ns + samples.duration_ns
    inside = (samples.outcome == RequestOutcome.OK) & (end >= start_ns) & (end < end_ns)
    good = samples.select(inside)
    late = is_delayed(good.duration_ns)
    return LossSoFar(
        int(np.count_nonzero(late)),
        count_unclear(good.duration_ns),
        batches(good.select(~late), start_ns, end_ns, span_ns),
    )


def loss_parts(burst: Burst, window: RequestSamples, batch_seconds: float) -> LossParts | None:
    """The parts of a burst, whose requests in the window are `window`.

    None where no packets are lost, or where too few requests succeeded for an interval.
    """
    good = window.select(window.outcome == RequestOutcome.OK)
    if not burst.lossy or not len(good):
        return None
    late = is_delayed(good.duration_ns)
    times_ms = good.duration_ns / 1e6
    ends = burst.window_start_ns, burst.window_end_ns, round(batch_seconds * 1e9)
    spans = batches(good.select(~late), *ends)
    base = float(times_ms[~late].mean())
    own = around(base, ratio(spans.total_ms, spans.count))
    if own.low is None:
        return None
    delays = times_ms[late] - base
    return LossParts(
        requests=len(good),
        delayed=len(delays),
        unclear=count_unclear(good.duration_ns),
        undelayed_ms=own,
        delay_ms=float(delays.mean()) if len(delays) else 0.0,
        delay_sd_ms=float(delays.std(ddof=1)) if len(delays) > 1 else 0.0,
        cpu=cpu_line(burst, batches(good, *ends).count / batch_seconds),
    )


def cpu_line(burst: Burst, rates: Floats) -> CpuLine | None:
    """CPU usage as a line over the requests per second of each batch, shape (k,).

    Its slope is that of least squares, within what can be: one request more takes some CPU time,
    and at most what a request takes on average. Few batches show no slope, so CPU time per request
    counts then. None where the CPU time of the batches is not known, or is zero.
    """
    cores, k = resources.cores_of_batches(burst.cpu), len(rates)
    if cores is None or len(cores) != k or k < 2 or not (cores.any() and rates.any()):
        return None
    away = rates - rates.mean()
    spread = float(away @ away)
    most = float(cores.mean() / rates.mean())
    slope = most
    fitted = k >= FEWEST_FOR_SLOPE and spread > 0
    if fitted:
        slope = min(max(float(away @ cores) / spread, 0.0), most)
    residual = cores - cores.mean() - slope * away
    degrees = k - 1 - fitted
    deviation = float(np.sqrt(residual @ residual / degrees)) * student(degrees) / Z
    return CpuLine(
        cores=float(cores.mean()),
        cores_error=deviation / k**0.5,
        throughput_rps=float(rates.mean()),
        slope=slope,
        slope_error=deviation / spread**0.5 if fitted else 0.0,
    )


def loss_metrics(parts: LossParts) -> dict[str, Estimate]:
    """The share of delayed requests and how much longer they took."""
    metrics = {
        "delayed_percent": resources.scaled(proportion(parts.delayed, parts.requests), 100),
    }
    if parts.delayed > 1:
        half = student(parts.delayed - 1) * parts.delay_sd_ms / parts.delayed**0.5
        low = max(0.0, parts.delay_ms - half)
        metrics["loss_delay_ms"] = Estimate(parts.delay_ms, low, parts.delay_ms + half)
    elif parts.delayed:
        metrics["loss_delay_ms"] = Estimate(parts.delay_ms)
    return metrics
