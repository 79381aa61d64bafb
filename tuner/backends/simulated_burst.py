"""Request samples and counters of one simulated burst, in virtual time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tuner.backends.simulated_host import (
    COLD_FACTOR,
    Course,
    closed_loop,
    open_loop,
    samples_of,
)
from tuner.measure.packet_loss import loss_of_samples
from tuner.measure.pruning import Pruner, WindowSoFar, over_saturated
from tuner.measure.samples import (
    Burst,
    ClientCounters,
    ContainerCounters,
    CpuReadings,
    Drops,
    RequestOutcome,
    RequestSamples,
)
from tuner.measure.statistics import Batches, batches
from tuner.measure.stopping import (
    FEWEST_WARMUP_REQUESTS,
    cut_short,
    to_be_known,
    warm_up,
    window,
    window_left,
)
from tuner.spec.study import LoadProfile, LoadSpec

CLIENT_CPU_NS = 5_000
PERIOD_NS = 100_000_000
"""Length of a period of the CPU quota (CFS)."""


@dataclass(frozen=True)
class SimulatedBurst:
    """A burst, and what loss did to its packets per replica and direction."""

    burst: Burst
    drops: Sequence[Drops]


def simulate(
    course: Course,
    profile: LoadProfile,
    before: Sequence[ContainerCounters],
    survives: bool,
    rng: np.random.Generator,
    pruner: Pruner | None = None,
) -> SimulatedBurst:
    """One burst after the counters `before`, one per replica.

    Connection i belongs to replica i modulo replicas. Times inside are log-normal around their
    mean, each replica's first two requests much slower. Warm-up and window end by the rules of a
    real burst, at virtual times. Without `survives` all connections are reset soon after the
    start.
    """
    spec, replicas, began = profile.spec, len(before), before[0].time_ns
    # As long as warm-up and window can last, the cold requests included.
    longest = spec.warmup_max_seconds + 4 * COLD_FACTOR * course.response_seconds
    horizon = longest + spec.max_seconds + 2 * spec.batch_seconds
    loop = closed_loop if profile.rate_rps is None else open_loop
    requests = loop(course, profile, replicas, horizon, rng)
    samples, losses = samples_of(requests, began, replicas, spec)
    counters = _Counters(before, course, samples)
    if survives:
        start_ns = _warm(samples, began, longest, replicas, spec)
        ended = _stop(samples, start_ns, profile, partial(_cpu, counters), pruner)
    else:
        # A replica dies once requests hold all its memory: within the first cycles.
        start_ns = began
        ended = _Ended(began + round(2e9 * course.response_seconds), "connections reset")
    stop_ns = ended.at_ns
    due = samples.start_ns < stop_ns  # what is in flight at the end is answered still
    samples, losses = _unsent(samples.select(due), losses[due], stop_ns)
    if not survives:
        samples = _reset(samples, stop_ns)
    counted = np.count_nonzero(samples.start_ns + samples.duration_ns >= start_ns)
    span = round(spec.batch_seconds * 1e9)
    times = np.arange(start_ns, stop_ns + 1, span) if survives else np.array([start_ns, stop_ns])
    readings = [counters.at(int(t)) for t in times]
    burst = Burst(
        samples=samples,
        window_start_ns=start_ns,
        window_end_ns=stop_ns,
        counters_start=tuple(readings[0]),
        counters_end=tuple(readings[-1]),
        cpu=_cpu_of(readings),
        client_start=(ClientCounters(time_ns=start_ns, cpu_ns=0),),
        client_end=(ClientCounters(time_ns=stop_ns, cpu_ns=CLIENT_CPU_NS * int(counted)),),
        host_start=None,
        host_end=None,
        concurrency=profile.concurrency,
        stop_reason=f"simulated: {ended.reason}",
        saved_seconds=ended.left
        if ended.cut_short
        else max(0.0, round(spec.max_seconds - (stop_ns - start_ns) / 1e9, 6)),
        cut_short=ended.cut_short,
        rate_rps=profile.rate_rps,
        lossy=profile.lossy,
        client={"backend": "simulated"},
    )
    return SimulatedBurst(burst, _drops(course, samples, losses, replicas, rng))


def _unsent(
    samples: RequestSamples, losses: npt.NDArray[np.int64], stop_ns: int
) -> tuple[RequestSamples, npt.NDArray[np.int64]]:
    """Those that still wait for a connection at `stop_ns` are not sent."""
    waits = samples.start_ns + samples.delay_ns >= stop_ns
    waited = stop_ns - samples.start_ns
    return dataclasses.replace(
        samples,
        delay_ns=np.where(waits, waited, samples.delay_ns),
        duration_ns=np.where(waits, waited, samples.duration_ns),
        status=np.where(waits, 0, samples.status).astype(np.int16),
        outcome=np.where(waits, RequestOutcome.NOT_SENT, samples.outcome).astype(np.int8),
        replica=np.where(waits, -1, samples.replica).astype(np.int16),
        connection=np.where(waits, -1, samples.connection).astype(np.int32),
        request=np.where(waits, -1, samples.request).astype(np.int32),
    ), np.where(waits, 0, losses)


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


@dataclass(frozen=True)
class _Ended:
    """When a window ended and why; of one that was cut short, the seconds that were left."""

    at_ns: int
    reason: str
    cut_short: str = ""
    left: float = 0.0


def _cpu(counters: _Counters, times: Sequence[int]) -> CpuReadings:
    """The replicas' CPU time at `times` (ns)."""
    return _cpu_of([counters.at(t) for t in times])


def _cpu_of(rows: Sequence[Sequence[ContainerCounters]]) -> CpuReadings:
    return CpuReadings(
        np.array([[c.time_ns for c in row] for row in rows], dtype=np.int64),
        np.array([[c.cpu_ns for c in row] for row in rows], dtype=np.int64),
    )


def _stop(
    samples: RequestSamples,
    start_ns: int,
    profile: LoadProfile,
    cpu: Callable[[Sequence[int]], CpuReadings],
    pruner: Pruner | None,
) -> _Ended:
    """How the window that starts at `start_ns` ends; `cpu` reads the replicas at some times."""
    spec = profile.spec
    span = round(spec.batch_seconds * 1e9)
    most = math.ceil(spec.max_seconds / spec.batch_seconds)
    seen = batches(samples, start_ns, start_ns + most * span, span)
    end_ns = samples.start_ns + samples.duration_ns
    failed_ns = end_ns[(samples.outcome != RequestOutcome.OK) & (end_ns >= start_ns)]
    n = 0
    while True:
        n += 1
        now = start_ns + n * span
        errors = int(np.count_nonzero(failed_ns < now))
        first, seconds = _first(seen, n), n * span / 1e9
        loss = loss_of_samples(samples, start_ns, now, span) if profile.lossy else None
        known = to_be_known(first, loss, profile)
        decision = window(known.batches, errors, seconds, spec, known.slow, known.mean)
        if decision.done:
            return _Ended(now, decision.reason)
        is_open = profile.rate_rps is not None
        if not is_open and pruner is None:
            continue
        ended = (end_ns >= start_ns) & (end_ns < now)
        due = (samples.start_ns >= start_ns) & (samples.start_ns < now)
        far = WindowSoFar(
            first,
            cpu([start_ns + i * span for i in range(n + 1)]),
            spec.batch_seconds,
            partial(samples.select, ended),
            int(np.count_nonzero(due)) if is_open else None,
            int(np.count_nonzero(ended)),
        )
        if why := over_saturated(far) or (pruner(far) if pruner else ""):
            left = window_left(known.batches, seconds, spec, known.slow)
            return _Ended(now, cut_short(why, seconds), why, left)


def _first(of: Batches, n: int) -> Batches:
    return Batches(of.count[:n], of.total_ms[:n])


def _reset(samples: RequestSamples, at_ns: int) -> RequestSamples:
    """The samples of connections that were all cut at `at_ns`."""
    cut = samples.start_ns + samples.duration_ns >= at_ns
    return dataclasses.replace(
        samples,
        duration_ns=np.where(cut, at_ns - samples.start_ns, samples.duration_ns),
        outcome=np.where(cut, RequestOutcome.RESET, samples.outcome).astype(np.int8),
        status=np.where(cut, 0, samples.status).astype(np.int16),
    )


class _Counters:
    """The counters of the replicas while the course goes on since the counters `before`.

    CPU time grows with time, and with each request that is answered.
    """

    def __init__(
        self, before: Sequence[ContainerCounters], course: Course, samples: RequestSamples
    ) -> None:
        self._before = before
        self._course = course
        ends = samples.start_ns + samples.duration_ns  # ascending
        self._ends = [ends[samples.replica == r] for r in range(len(before))]

    def at(self, time_ns: int) -> list[ContainerCounters]:
        return [self._advanced(r, time_ns) for r in range(len(self._before))]

    def _advanced(self, replica: int, time_ns: int) -> ContainerCounters:
        before, course = self._before[replica], self._course
        passed = time_ns - before.time_ns
        periods = passed // PERIOD_NS
        answered = int(np.searchsorted(self._ends[replica], time_ns))
        idle = passed * course.idle_cores / len(self._before)
        return dataclasses.replace(
            before,
            time_ns=time_ns,
            cpu_ns=before.cpu_ns + round(idle + 1e9 * answered * course.request_cpu_seconds),
            periods=before.periods + periods,
            throttled_periods=before.throttled_periods + round(periods * course.throttled),
            throttled_ns=before.throttled_ns + round(passed * course.throttled / 2),
        )


def _drops(
    course: Course,
    samples: RequestSamples,
    retransmissions: npt.NDArray[np.int64],
    replicas: int,
    rng: np.random.Generator,
) -> list[Drops]:
    """Packets seen and dropped: of each lost exchange either the request or the response."""
    if course.exchange_loss == 0:
        return []
    requests_share = course.loss_in / 100 / course.exchange_loss
    drops = []
    for replica in range(replicas):
        mine = samples.replica == replica
        lost = int(retransmissions[mine].sum())
        sent = int(np.count_nonzero(mine)) + lost
        inward = int(rng.binomial(lost, requests_share))
        if course.loss_in:
            drops.append(Drops(replica, "in", course.loss_in, sent, inward))
        if course.loss_out:
            drops.append(Drops(replica, "out", course.loss_out, sent - inward, lost - inward))
    return drops
