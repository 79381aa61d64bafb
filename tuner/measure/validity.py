"""Reasons to doubt a measurement: each check is a pure function, each finding names its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tuner.measure.measurement import Estimate, Finding, Verdict
from tuner.measure.samples import Burst, Outcome, RequestSamples
from tuner.measure.stopping import CAPPED

LITTLE = (0.97, 1.03)
"""Throughput times response time over concurrency, in a closed loop."""
FEWEST_BUSY = 0.90
CLIENT_CPU_WARN, CLIENT_CPU_INVALID = 0.50, 0.80
"""Of one core: the load generator is one thread."""
FEWEST_REQUESTS = 50
MAJOR_FAULTS_PER_S = 5.0


def findings(
    burst: Burst, window: RequestSamples, metrics: Mapping[str, Estimate]
) -> tuple[Finding, ...]:
    """All findings about `burst`; `window` holds the requests that completed in its window."""
    return (
        *_requests(burst, window),
        *_errors(window),
        *_little(burst, window),
        *_client(burst),
        *_major_faults(metrics),
    )


def _requests(burst: Burst, window: RequestSamples) -> Iterator[Finding]:
    good = int(np.count_nonzero(window.outcome == Outcome.OK))
    longer = "Raise load.max_seconds."
    if not good:
        yield Finding("INVALID", "no request succeeded in the window", "See the errors.")
    elif good < FEWEST_REQUESTS:
        yield Finding("WARN", f"only {good} successful requests in the window", longer)
    if CAPPED in burst.stop_reason:
        remedy = "Raise load.max_seconds, or load.precision if this is precise enough."
        yield Finding("WARN", f"the window ended early: {burst.stop_reason}", remedy)
    silent = burst.concurrency - len(np.unique(window.connection))
    if good and silent > 0:
        what = f"{silent} of {burst.concurrency} connections completed no request in the window"
        yield Finding("WARN", what, longer)


def _errors(window: RequestSamples) -> Iterator[Finding]:
    remedies = {
        Outcome.HTTP_ERROR: "Look at the status codes and at the containers' logs.",
        Outcome.TIMEOUT: "Raise load.timeout_seconds, or lower the concurrency or the loss.",
        Outcome.RESET: "Look at the containers' logs: a server may have restarted.",
        Outcome.WRONG_ANSWER: "Check the model version, its golden answers and its tolerance.",
    }
    for outcome, remedy in remedies.items():
        if count := int(np.count_nonzero(window.outcome == outcome)):
            verdict: Verdict = "INVALID" if outcome is Outcome.WRONG_ANSWER else "WARN"
            name = outcome.name.lower().replace("_", " ")
            yield Finding(verdict, f"{count} of {len(window)} requests: {name}", remedy)


def _little(burst: Burst, window: RequestSamples) -> Iterator[Finding]:
    """Little's law: in a closed loop, requests in flight = rate x response time = concurrency.

    Requests that reach over an edge of the window disturb the product when the window is short;
    the time that requests of the whole burst spend inside it tells that from an idle client.
    """
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
        yield Finding("WARN", f"{law}, the window's edges explain it", remedy)
    else:
        verdict: Verdict = "WARN" if FEWEST_BUSY <= busy < LITTLE[1] else "INVALID"
        remedy = "Connections waited for the client: free its CPU, or lower the concurrency."
        yield Finding(verdict, f"{law}, connections were busy {busy:.0%} of the time", remedy)


def _client(burst: Burst) -> Iterator[Finding]:
    busy = burst.client_cpu_ns / (burst.window_end_ns - burst.window_start_ns)
    if busy > CLIENT_CPU_WARN:
        verdict: Verdict = "INVALID" if busy > CLIENT_CPU_INVALID else "WARN"
        remedy = "Response times hold the client's own: use a larger host, or a lower concurrency."
        yield Finding(verdict, f"the load generator used {busy:.0%} of its core", remedy)


def _major_faults(metrics: Mapping[str, Estimate]) -> Iterator[Finding]:
    faults = metrics.get("major_faults_per_s")
    if faults is not None and faults.value > MAJOR_FAULTS_PER_S:
        remedy = "Raise the memory of the replicas, or free memory on the host."
        what = f"{faults.value:.0f} major page faults per second: replicas wait for the disk"
        yield Finding("WARN", what, remedy)
