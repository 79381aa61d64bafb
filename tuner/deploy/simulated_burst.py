"""Request samples and counters of one simulated burst, in virtual time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.deploy import queueing
from tuner.measure.samples import Burst, ContainerCounters, Outcome, RequestSamples
from tuner.measure.statistics import Batches, batches
from tuner.measure.stopping import FEWEST_WARMUP_REQUESTS, warm_up, window
from tuner.spec.study import LoadProfile, LoadSpec

Floats = npt.NDArray[np.float64]

SPREAD = 0.35
"""Standard deviation of the logarithm of the time inside a replica."""

COLD_FACTOR = 6.0
COLD_REQUESTS = 2
CLIENT_CPU_NS = 5_000
PERIOD_NS = 100_000_000
"""Length of a period of the CPU quota (CFS)."""


@dataclass(frozen=True)
class Course:
    """Means of one burst: times per request, CPU time, share of time with a quota exhausted.

    `response_seconds` = `inside_seconds` (in the replica) + `network_seconds` + retransmissions.
    `cores` are those of all replicas together.
    """

    response_seconds: float
    inside_seconds: float
    network_seconds: float
    loss_percent: float
    cores: float
    throttled: float


@dataclass(frozen=True)
class Sent:
    """A burst, and what loss did to its packets per replica and direction."""

    burst: Burst
    drops: Sequence[Mapping[str, Any]]


def simulate(
    course: Course,
    profile: LoadProfile,
    before: Sequence[ContainerCounters],
    survives: bool,
    rng: np.random.Generator,
) -> Sent:
    """One closed-loop burst after the counters `before`, one per replica.

    Every connection sends its next request when the last one is answered; connection i belongs to
    replica i modulo replicas. Times inside are log-normal around their mean, each replica's first
    two requests much slower. Warm-up and window end by the rules of a real burst, at virtual
    times. Without `survives` all connections are reset soon after the start.
    """
    spec, replicas, began = profile.spec, len(before), before[0].time_ns
    # As long as warm-up and window can last, the cold requests included.
    longest = spec.warmup_max_seconds + 4 * COLD_FACTOR * course.response_seconds
    horizon = longest + spec.max_seconds + 2 * spec.batch_seconds
    duration, losses = _durations(course, profile, replicas, horizon, rng)
    timed_out = duration == spec.timeout_seconds
    duration_ns = np.rint(1e9 * duration).astype(np.int64)
    end_ns = began + np.cumsum(duration_ns, axis=1)
    order = np.argsort(end_ns, axis=None, kind="stable")
    connection = order // end_ns.shape[1]
    end_ns, duration_ns, losses = (a.ravel()[order] for a in (end_ns, duration_ns, losses))
    outcome = np.where(timed_out.ravel()[order], Outcome.TIMEOUT, Outcome.OK).astype(np.int8)
    samples = RequestSamples(
        start_ns=end_ns - duration_ns,
        duration_ns=duration_ns,
        status=np.where(outcome == Outcome.OK, 200, 0).astype(np.int16),
        outcome=outcome,
        replica=(connection % replicas).astype(np.int16),
        connection=connection.astype(np.int32),
        request=np.arange(len(order), dtype=np.int32),
    )
    if survives:
        start_ns = _warm(samples, began, longest, replicas, spec)
        stop_ns, reason = _stop(samples, start_ns, spec)
    else:
        # A replica dies once requests hold all its memory: within the first cycles.
        start_ns, stop_ns = began, began + round(2e9 * course.response_seconds)
        reason = "connections reset"
    sent = samples.start_ns < stop_ns  # what is in flight at the end is answered still
    samples, losses = samples.select(sent), losses[sent]
    if not survives:
        samples = _reset(samples, stop_ns)
    counted = np.count_nonzero(samples.start_ns + samples.duration_ns >= start_ns)
    burst = Burst(
        samples=samples,
        window_start_ns=start_ns,
        window_end_ns=stop_ns,
        counters_start=tuple(_advanced(c, start_ns, course, replicas) for c in before),
        counters_end=tuple(_advanced(c, stop_ns, course, replicas) for c in before),
        client_cpu_ns=CLIENT_CPU_NS * int(counted),
        concurrency=profile.concurrency,
        stop_reason=f"simulated: {reason}",
    )
    return Sent(burst, _drops(course, samples, losses, replicas, rng))


def _durations(
    course: Course,
    profile: LoadProfile,
    replicas: int,
    horizon: float,
    rng: np.random.Generator,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Seconds and losses of every connection's requests until each has filled the horizon.

    Shapes (concurrency, requests). What would take longer takes the timeout exactly.
    """
    arrived = 1 - queueing.exchange_loss(course.loss_percent)
    requests = math.ceil(1.2 * horizon / course.response_seconds) + 20
    while True:
        shape = (profile.concurrency, requests)
        losses = np.minimum(rng.geometric(arrived, shape) - 1, queueing.MAX_RETRANSMISSIONS)
        inside = course.inside_seconds * np.exp(rng.normal(-(SPREAD**2) / 2, SPREAD, shape))
        inside[:replicas, :COLD_REQUESTS] *= COLD_FACTOR
        duration = course.network_seconds + inside + queueing.retransmission_seconds(losses)
        duration = np.minimum(duration, profile.spec.timeout_seconds)
        if duration.sum(axis=1).min() > horizon:
            return duration, losses
        requests *= 2


def _warm(
    samples: RequestSamples, began: int, longest: float, replicas: int, spec: LoadSpec
) -> int:
    """When warm-up is over, judged twice per batch as the load generator does."""
    tick = round(spec.batch_seconds * 1e9 / 2)
    ticks = math.ceil(longest * 1e9 / tick)
    seen = batches(samples, began, began + ticks * tick, tick)
    end_ns = samples.start_ns + samples.duration_ns
    second_ns = max(
        int(end_ns[samples.replica == r][FEWEST_WARMUP_REQUESTS - 1])
        for r in range(min(replicas, 1 + int(samples.connection.max())))
    )
    for n in range(1, ticks):
        now = began + n * tick
        fewest = FEWEST_WARMUP_REQUESTS if second_ns <= now else 0
        if warm_up(_first(seen, n), fewest, n * tick / 1e9, spec).done:
            return now
    return began + ticks * tick


def _stop(samples: RequestSamples, start_ns: int, spec: LoadSpec) -> tuple[int, str]:
    """When the window that starts at `start_ns` ends, and why."""
    span = round(spec.batch_seconds * 1e9)
    most = math.ceil(spec.max_seconds / spec.batch_seconds)
    seen = batches(samples, start_ns, start_ns + most * span, span)
    end_ns = samples.start_ns + samples.duration_ns
    failed_ns = end_ns[(samples.outcome != Outcome.OK) & (end_ns >= start_ns)]
    n = 0
    while True:
        n += 1
        now = start_ns + n * span
        errors = int(np.count_nonzero(failed_ns < now))
        decision = window(_first(seen, n), errors, n * span / 1e9, spec)
        if decision.done:
            return now, decision.reason


def _first(of: Batches, n: int) -> Batches:
    return Batches(of.count[:n], of.total_ms[:n])


def _reset(samples: RequestSamples, at_ns: int) -> RequestSamples:
    """The samples of connections that were all cut at `at_ns`."""
    cut = samples.start_ns + samples.duration_ns >= at_ns
    return dataclasses.replace(
        samples,
        duration_ns=np.where(cut, at_ns - samples.start_ns, samples.duration_ns),
        outcome=np.where(cut, Outcome.RESET, samples.outcome).astype(np.int8),
        status=np.where(cut, 0, samples.status).astype(np.int16),
    )


def _advanced(
    before: ContainerCounters, time_ns: int, course: Course, replicas: int
) -> ContainerCounters:
    """A replica's counters at `time_ns`, `course` having gone on since `before`."""
    passed = time_ns - before.time_ns
    periods = passed // PERIOD_NS
    return ContainerCounters(
        time_ns=time_ns,
        cpu_ns=before.cpu_ns + round(passed * course.cores / replicas),
        periods=before.periods + periods,
        throttled_periods=before.throttled_periods + round(periods * course.throttled),
        throttled_ns=before.throttled_ns + round(passed * course.throttled / 2),
        memory_peak_bytes=before.memory_peak_bytes,
        memory_limit_hits=before.memory_limit_hits,
        oom_kills=before.oom_kills,
        major_faults=before.major_faults,
        source=before.source,
    )


def _drops(
    course: Course,
    samples: RequestSamples,
    retransmissions: npt.NDArray[np.int64],
    replicas: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Packets seen and dropped: of each lost exchange either the request or the response."""
    if course.loss_percent == 0:
        return []
    loss = course.loss_percent / 100
    requests_share = loss / queueing.exchange_loss(course.loss_percent)
    found = []
    for replica in range(replicas):
        mine = samples.replica == replica
        lost = int(retransmissions[mine].sum())
        sent = int(np.count_nonzero(mine)) + lost
        dropped_in = int(rng.binomial(lost, requests_share))
        found += [
            _drop(replica, "in", sent, dropped_in),
            _drop(replica, "out", sent - dropped_in, lost - dropped_in),
        ]
    return found


def _drop(replica: int, direction: str, packets: int, dropped: int) -> dict[str, Any]:
    return {"replica": replica, "direction": direction, "packets": packets, "dropped": dropped}
