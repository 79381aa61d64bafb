"""Reasons to doubt a measurement. Each check is pure, and each finding names a remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, bdtrc

from tuner.measure.calibration import MOST_OF_CAPACITY, Calibration
from tuner.measure.measurement import Estimate, Finding, Verdict
from tuner.measure.samples import Burst, Drops, RequestOutcome, RequestSamples, late_requests
from tuner.measure.statistics import NANOSECONDS, fewest_samples
from tuner.measure.steadiness import lasting_changes, silences
from tuner.measure.stopping import CAPPED
from tuner.spec.metrics import PERCENTILES
from tuner.spec.study import LoadSpec

LITTLE = (0.97, 1.03)
"""The accepted range, in a closed loop, of rate x response time / concurrency."""
FEWEST_BUSY = 0.90
FEWEST_REQUESTS = 50
MAJOR_FAULTS_PER_S = 5.0
CHANCE = 1e-5
"""Drop counters with a smaller probability than this under the asked loss contradict it."""
LATE_PERCENT = 1.0
LATE_CONNECTIONS = "Raise the concurrency, or lower the rate."
LATE_CLIENT = (
    "Response times include that wait. Use fewer CPUs for the replicas, a larger host, or a lower"
    " rate."
)
KEPT_RATE = 0.95
"""If a smaller share than this of an open loop's rate is answered, its backlog grows."""


@dataclass(frozen=True)
class ShareLimit:
    """Limits of a metric in percent: above `warn` it is in doubt, above `invalid` INVALID."""

    warn: float
    invalid: float
    what: str
    remedy: str


SHARE_LIMITS: Mapping[str, ShareLimit] = {
    "client_cpu_percent": ShareLimit(
        50,
        80,
        "the load engine used {:.0f} % of its core",
        "Response times include the client's own: raise load.senders, use a larger host, or a"
        " lower concurrency.",
    ),
    "client_wait_percent": ShareLimit(
        2,
        20,
        "the load engine waited for a CPU {:.1f} % of the time",
        "Replicas and client need more CPU than there is: use fewer CPUs, or a larger host.",
    ),
    "foreign_percent": ShareLimit(
        5,
        LoadSpec.max_foreign_percent,
        "other processes used {:.0f} % of the host's CPU time",
        "Stop what else runs on the host (`top` shows it), or raise load.max_foreign_percent.",
    ),
    "steal_percent": ShareLimit(
        2,
        10,
        "the hypervisor gave {:.1f} % of the host's CPU time to other machines",
        "Measure again later, or on a host with CPUs of its own.",
    ),
}


@dataclass(frozen=True, eq=False)
class CheckedBurst:
    """The data for the checks. `window` has the requests that completed in the window."""

    burst: Burst
    window: RequestSamples
    metrics: Mapping[str, Estimate]
    drops: tuple[Drops, ...] = ()
    calibration: Calibration | None = None
    max_foreign_percent: float = LoadSpec.max_foreign_percent
    needed: frozenset[str] = frozenset()
    """The metrics of objectives and constraints."""


def findings(of: CheckedBurst) -> tuple[Finding, ...]:
    """All findings, in the order of the checks."""
    loop = _little if of.burst.rate_rps is None else _open_loop
    checks = (
        _requests, _percentiles, _errors, _steadiness, loop, _shares, _capacity, _loss,
        _major_faults,
    )  # fmt: skip
    return tuple(finding for check in checks for finding in check(of))


def _requests(of: CheckedBurst) -> Iterator[Finding]:
    burst, window = of.burst, of.window
    good = int(np.count_nonzero(window.outcome == RequestOutcome.OK))
    longer = "Raise load.max_seconds."
    if not good:
        yield Finding("INVALID", "no request succeeded in the window", "See the errors.")
    elif good < FEWEST_REQUESTS:
        yield Finding("WARN", f"only {good} successful requests in the window", longer)
    if CAPPED in burst.stop_reason:
        remedy = "Raise load.max_seconds, or raise load.precision if this is precise enough."
        yield Finding("WARN", f"the window ended early: {burst.stop_reason}", remedy)
    silent = burst.concurrency - len(np.unique(window.connection))
    if good and silent > 0 and burst.rate_rps is None:
        what = f"{silent} of {burst.concurrency} connections completed no request in the window"
        yield Finding("WARN", what, longer)


def _percentiles(of: CheckedBurst) -> Iterator[Finding]:
    """Whether a percentile that is needed rests on enough requests."""
    good = int(np.count_nonzero(of.window.outcome == RequestOutcome.OK))
    seconds = (of.burst.window_end_ns - of.burst.window_start_ns) / NANOSECONDS
    names = [n for n, p in PERCENTILES.items() if n in of.needed and good < fewest_samples(p)]
    if good and names:
        most = max(fewest_samples(PERCENTILES[name]) for name in names)
        what = f"{' and '.join(names)} of {good} requests, where {most} are enough: known roughly"
        longest = math.ceil(most / good * seconds)
        yield Finding("WARN", what, f"Raise load.max_seconds to {longest} s.")


def _errors(of: CheckedBurst) -> Iterator[Finding]:
    remedies = {
        RequestOutcome.HTTP_ERROR: "Look at the status codes and at the containers' logs.",
        RequestOutcome.TIMEOUT: "Raise load.timeout_seconds, or lower the concurrency or the loss.",
        RequestOutcome.RESET: "Look at the containers' logs: a server may have restarted.",
        RequestOutcome.WRONG_ANSWER: "Check the model's version, golden answers and tolerance.",
    }
    for outcome, remedy in remedies.items():
        if count := int(np.count_nonzero(of.window.outcome == outcome)):
            verdict: Verdict = "INVALID" if outcome is RequestOutcome.WRONG_ANSWER else "WARN"
            name = outcome.name.lower().replace("_", " ")
            yield Finding(verdict, f"{count} of {len(of.window)} requests: {name}", remedy)


def _steadiness(of: CheckedBurst) -> Iterator[Finding]:
    yield from silences(of.burst, of.window)
    yield from lasting_changes(of.burst)


def _little(of: CheckedBurst) -> Iterator[Finding]:
    """Little's law: in a closed loop, requests in flight = rate x response time = concurrency.

    In a short window, requests that reach over its edges disturb the product. The time that all
    requests of the burst spend inside the window tells this from an idle client.
    """
    burst, window = of.burst, of.window
    capacity = float(burst.window_end_ns - burst.window_start_ns) * burst.concurrency
    product = float(window.duration_ns.sum()) / capacity
    if not len(window) or LITTLE[0] <= product <= LITTLE[1]:
        return
    start = burst.samples.start_ns
    inside = np.minimum(start + burst.samples.duration_ns, burst.window_end_ns) - np.maximum(
        start, burst.window_start_ns
    )
    busy = float(np.maximum(inside, 0).sum()) / capacity
    law = f"rate x response time is {product:.2f} of the concurrency (Little's law)"
    if LITTLE[0] <= busy <= LITTLE[1]:
        remedy = "Raise load.min_seconds: requests are long against the window."
        yield Finding("WARN", f"{law}; the window's edges explain it", remedy)
    else:
        verdict: Verdict = "WARN" if FEWEST_BUSY <= busy < LITTLE[1] else "INVALID"
        remedy = (
            "Connections waited for the client: free its CPU, raise load.senders, or lower the"
            " concurrency."
        )
        yield Finding(verdict, f"{law}; connections were busy {busy:.0%} of the time", remedy)


def _open_loop(of: CheckedBurst) -> Iterator[Finding]:
    """Whether an open loop's requests were sent when due, and answered as fast as they came."""
    due_rate = of.burst.rate_rps
    assert due_rate is not None
    late = of.metrics.get("late_percent")
    if late is not None and late.value > LATE_PERCENT:
        what, remedy = f"{late.value:.1f} % of the requests were sent late", LATE_CLIENT
        if _share_without_connection(of.burst) >= 0.5:
            what, remedy = f"{what}: no connection was free", LATE_CONNECTIONS
        else:
            what = f"{what}: connections were free, but the load engine had no CPU"
        yield Finding("WARN", what, remedy)
    answered = of.metrics.get("throughput_rps")
    # Requests of a Poisson process come in numbers that vary, and with them those of answers.
    if answered is not None and (answered.high or answered.value) < KEPT_RATE * due_rate:
        what = f"{answered.value:.0f} of {due_rate:g} requests/s were answered: the backlog grows"
        remedy = "ART depends on the window's length here: lower the rate, or deploy more."
        yield Finding("WARN", what, remedy)


def _share_without_connection(burst: Burst) -> float:
    """Of the requests that were due in the window and sent late: the share for which all
    connections were in use when they were due.
    """
    samples = burst.samples
    on_wire = samples.select(samples.connection >= 0)
    begun = np.sort(on_wire.start_ns + on_wire.delay_ns)
    ended = np.sort(on_wire.start_ns + on_wire.duration_ns)
    due = samples.select(late_requests(burst)).start_ns
    in_use = np.searchsorted(begun, due, "right") - np.searchsorted(ended, due, "right")
    return float((in_use >= burst.concurrency).mean()) if len(due) else 0.0


def _shares(of: CheckedBurst) -> Iterator[Finding]:
    for name, share in SHARE_LIMITS.items():
        estimate = of.metrics.get(name)
        invalid = of.max_foreign_percent if name == "foreign_percent" else share.invalid
        if estimate is not None and estimate.value > share.warn:
            verdict: Verdict = "INVALID" if estimate.value > invalid else "WARN"
            yield Finding(verdict, share.what.format(estimate.value), share.remedy)


def _capacity(of: CheckedBurst) -> Iterator[Finding]:
    """Near the load engine's capacity a measurement says more about it than about the server."""
    rate = of.metrics.get("throughput_rps")
    if rate is None or of.calibration is None:
        return
    senders = len(of.burst.client_start)
    honest = of.calibration.honest_rps(senders)
    if rate.value > honest:
        share = MOST_OF_CAPACITY * rate.value / honest
        what = f"{share:.0%} of the load engine's capacity was used"
        enough = math.ceil(senders * rate.value / honest)
        remedy = (
            f"Set load.senders: {enough} where the host has CPUs for them, use a larger host, or a"
            " model or configuration that is slower."
        )
        yield Finding("INVALID", what, remedy)


def _loss(of: CheckedBurst) -> Iterator[Finding]:
    """Whether the rules' counters fit the asked probability, by the binomial distribution."""
    for drop in of.drops:
        where = f"replica {drop.replica} {drop.direction}: {drop.dropped} of {drop.packets} packets"
        p = drop.asked_percent / 100
        tails = bdtr(drop.dropped, drop.packets, p), bdtrc(drop.dropped - 1, drop.packets, p)
        if drop.dropped > drop.packets or min(tails) < CHANCE / 2:
            what = f"{where} lost, asked for {drop.asked_percent:g} %"
            yield Finding(
                "INVALID", what, "Look at the trial's network facts: method and counters."
            )
        elif not drop.packets and (of.window.replica == drop.replica).any():
            what = f"{where} counted: the rule does not see the traffic"
            yield Finding(
                "INVALID", what, "Look at the trial's network facts: method and counters."
            )


def _major_faults(of: CheckedBurst) -> Iterator[Finding]:
    faults = of.metrics.get("major_faults_per_s")
    if faults is not None and faults.value > MAJOR_FAULTS_PER_S:
        remedy = "Raise the memory of the replicas, or free memory on the host."
        what = f"{faults.value:.0f} major page faults per second: replicas wait for the disk"
        yield Finding("WARN", what, remedy)
