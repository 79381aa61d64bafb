"""Whether a window shows one server throughout: no replica fell silent, and none changed. Pure.

Requests lost on a network are silences of their own, so a lossy burst is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tuner.measure.measurement import Finding, Verdict
from tuner.measure.samples import Burst, RequestOutcome, RequestSamples
from tuner.measure.statistics import NANOSECONDS, batches
from tuner.measure.stopping import FIXED_STAGE

SILENT_SECONDS = 0.5
SILENT_RESPONSES = 10
"""A replica is silent when it answers nothing for so long and for so many of its median response
times, although requests wait for it."""

IDLE_CORES = 0.005
"""A replica that uses less CPU than this does nothing."""

MANY_FAULTS = 20
"""So many major page faults may take a disk half a second."""

SPANS = 16
FEWEST_SPANS = 3
CHANGED = 1.25
"""If ART differs by this factor before and after some moment, the burst is in doubt."""
CHANGED_MUCH = 2.0
"""By this factor it is INVALID: two measurements in one."""
CERTAIN = 6.0
"""So many standard errors apart they must be."""

_ANSWERS = (RequestOutcome.OK, RequestOutcome.HTTP_ERROR, RequestOutcome.WRONG_ANSWER)

Times = npt.NDArray[np.int64]


def silences(burst: Burst, window: RequestSamples) -> Iterator[Finding]:
    """Replicas that fell silent, each with its longest silence.

    One that used no CPU meanwhile was halted or hung, and so was one that never answered again.
    What waits for the disk (many major faults) uses no CPU either, and is slow by itself.
    """
    if burst.lossy:
        return
    for replica in np.unique(window.replica[window.replica >= 0]).tolist():
        good = window.outcome == RequestOutcome.OK
        usual_ns = window.duration_ns[good & (window.replica == replica)]
        mine = burst.samples.select(burst.samples.replica == replica)
        if not len(usual_ns):
            continue
        start, end = _longest_silence(mine, burst.window_start_ns, burst.window_end_ns)
        seconds, usual = (end - start) / NANOSECONDS, float(np.median(usual_ns)) / NANOSECONDS
        if seconds < max(SILENT_SECONDS, SILENT_RESPONSES * usual):
            continue
        if _waited(mine, start, end) < 0.9 * (end - start):
            continue
        what = f"replica {replica} answered nothing for {seconds:.1f} s"
        if _idle(burst, replica, start, end) and not _faulted(burst, replica):
            what += " and used no CPU: something halted it, or it hung"
            yield Finding("INVALID", what, "See its log, and what else acts on this host.")
        elif end >= burst.window_end_ns:
            what += ", until the window ended: it hung"
            yield Finding("INVALID", what, "See its log.")
        else:
            what += f", {seconds / usual:.0f} times its response time"
            yield Finding("WARN", what, "See its log: it may have loaded something, or collected.")


def lasting_changes(burst: Burst) -> Iterator[Finding]:
    """Whether ART changed for good within the window: the moment that divides it best.

    In an open loop a growing backlog does that, which is a finding of its own, and a stage of fixed
    length may be a ramp.
    """
    if burst.lossy or burst.rate_rps is not None or burst.stop_reason.startswith(FIXED_STAGE):
        return
    length = burst.window_end_ns - burst.window_start_ns
    spans = batches(
        burst.samples, burst.window_start_ns, burst.window_end_ns, max(1, length // SPANS)
    )
    means = spans.means_ms()[:SPANS]
    if len(means) < SPANS:
        return
    cut, certainty = _best_cut(means)
    before, after = float(means[:cut].mean()), float(means[cut:].mean())
    factor = max(before, after) / min(before, after)
    if certainty < CERTAIN or factor < CHANGED:
        return
    verdict: Verdict = "INVALID" if factor >= CHANGED_MUCH else "WARN"
    at = cut / SPANS * length / NANOSECONDS
    what = f"ART went from {before:.3g} to {after:.3g} ms after {at:.1f} s of the window"
    yield Finding(verdict, what, "The server or the host changed then: see the server's log.")


def _longest_silence(mine: RequestSamples, start_ns: int, end_ns: int) -> tuple[int, int]:
    """The longest time in the window in which a replica answered nothing."""
    answered = np.isin(mine.outcome, _ANSWERS)
    ends: Times = np.sort((mine.start_ns + mine.duration_ns)[answered])
    inside = ends[(ends > start_ns) & (ends < end_ns)]
    edges = np.concatenate(([start_ns], inside, [end_ns]))
    longest = int(np.argmax(np.diff(edges)))
    return int(edges[longest]), int(edges[longest + 1])


def _waited(mine: RequestSamples, start_ns: int, end_ns: int) -> int:
    """For how much of this time, in ns, at least one request waited."""
    order = np.argsort(mine.start_ns)
    begin = np.clip(mine.start_ns[order], start_ns, end_ns)
    end = np.clip((mine.start_ns + mine.duration_ns)[order], start_ns, end_ns)
    reached = np.maximum.accumulate(end)
    before = np.concatenate(([start_ns], reached[:-1]))
    return int(np.maximum(0, reached - np.maximum(begin, before)).sum())


def _idle(burst: Burst, replica: int, start_ns: int, end_ns: int) -> bool:
    """Whether a replica used no CPU in this time, by the readings that lie in it.

    The readings have a clock of their own, of which the first is at the window's start. Where
    nobody counts CPU time it is not known, so not said.
    """
    if replica >= burst.cpu.time_ns.shape[1]:
        return False
    time_ns, cpu_ns = burst.cpu.time_ns[:, replica], burst.cpu.cpu_ns[:, replica]
    at = time_ns - time_ns[0] + burst.window_start_ns
    inside = np.flatnonzero((at >= start_ns) & (at <= end_ns))
    if len(inside) < 2 or time_ns[inside[-1]] == time_ns[inside[0]]:
        return False
    first, last = inside[0], inside[-1]
    used = float(cpu_ns[last] - cpu_ns[first]) / float(time_ns[last] - time_ns[first])
    return used < IDLE_CORES


def _faulted(burst: Burst, replica: int) -> bool:
    before, after = burst.counters_start[replica], burst.counters_end[replica]
    return after.major_faults - before.major_faults >= MANY_FAULTS


def _best_cut(means: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Where to cut so that both parts are most alike in themselves, and the certainty of that.

    It is the difference of the parts' means in standard errors, by the spread within the parts.
    """
    n = len(means)
    best = FEWEST_SPANS, 0.0
    for cut in range(FEWEST_SPANS, n - FEWEST_SPANS + 1):
        parts = means[:cut], means[cut:]
        within = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / (n - 2)
        error = np.sqrt(within * (1 / cut + 1 / (n - cut)))
        apart = abs(float(parts[0].mean() - parts[1].mean()))
        certainty = apart / error if error else (np.inf if apart else 0.0)
        if certainty > best[1]:
            best = cut, float(certainty)
    return best
