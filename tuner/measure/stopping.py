"""The rules by which warm-up and window end. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.measure.network_part import inseparable
from tuner.measure.statistics import Batches, art, relative_half_width
from tuner.spec.study import LoadProfile, LoadSpec

FEWEST_WARMUP_REQUESTS = 2
"""Of each replica: its first two requests are outliers, whatever the batches say."""

FEWEST_MEANS = 6
"""The fewest batch means by which settling is judged."""

CAPPED = "time limit"
"""The stop reason of a window that ended far from what was asked begins with this."""

NEAR = "longest window"
"""That of a window that ended at its limit, nearer to it, begins with this."""

FAR = 2.0
"""An interval so many times as wide as asked is far from it, and so is one of that many times fewer
requests. What is nearer says by its own interval how well it is known."""

FIXED_STAGE = "a stage of fixed length"
"""That of a window that is one stage of a burst begins with this."""


@dataclass(frozen=True)
class StopDecision:
    """Whether to end the phase now. `reason` says why, or what the phase still waits for."""

    done: bool
    reason: str


def has_settled(means_ms: npt.NDArray[np.float64]) -> bool:
    """Whether the batch means of a warm-up, shape (k,), have stopped drifting.

    By the marginal standard error rule (White 1997): of all cuts, take the one after which the
    standard error of the mean is smallest. A cut in the first half means that the rest is steady,
    a later cut that the means still drift.
    """
    k = len(means_ms)
    if k < FEWEST_MEANS:
        return False
    errors = [float(np.var(means_ms[cut:])) / (k - cut) for cut in range(k - 1)]
    return int(np.argmin(errors)) <= k // 2


def warm_up(batches: Batches, fewest: int, seconds: float, spec: LoadSpec) -> StopDecision:
    """Whether warm-up is over after `seconds`.

    `fewest` is the number of requests that the replica with the fewest has completed. After
    `warmup_max_seconds` warm-up does not wait for steadiness any longer. It waits for each
    replica's first requests twice their timeout longer, so that slow models get warm too.
    """
    if fewest < FEWEST_WARMUP_REQUESTS:
        patience = spec.warmup_max_seconds + FEWEST_WARMUP_REQUESTS * spec.timeout_seconds
        if seconds >= patience:
            return StopDecision(True, f"a replica completed {fewest} requests in {seconds:.1f} s")
        return StopDecision(False, "each replica's first requests")
    if has_settled(batches.means_ms()):
        return StopDecision(True, f"response time settled after {seconds:.1f} s")
    if seconds >= spec.warmup_max_seconds:
        return StopDecision(True, f"response time had not settled after {seconds:.1f} s")
    return StopDecision(False, "response time to settle")


@dataclass(frozen=True, eq=False)
class LossSoFar:
    """What lost packets did in a window so far.

    They delayed `delayed` successful requests, `unclear` may be delayed or not. `undelayed` are the
    whole batches without the delayed ones.
    """

    delayed: int
    unclear: int
    undelayed: Batches


@dataclass(frozen=True, eq=False)
class ToBeKnown:
    """What a window is to know within `precision`: the mean of `batches`, `mean` in words.

    It also waits for `slow` to reach `min_slow`, unless that is None.
    """

    batches: Batches
    slow: int | None = None
    mean: str = "ART"


def to_be_known(batches: Batches, loss: LossSoFar | None, profile: LoadProfile) -> ToBeKnown:
    """What a window of these whole batches is to know; `loss` is None where no packets are lost.

    The mean of the undelayed requests is enough where the study knows what the network adds: to
    within the precision of ART, as one standard error. The delayed requests must be clear then.
    """
    if loss is None:
        return ToBeKnown(batches)
    known, undelayed = profile.known_loss, art(loss.undelayed)
    if (
        known is None
        or undelayed is None
        or known.error_ms > profile.spec.precision * (undelayed.value + known.mean_ms)
        or inseparable(int(batches.count.sum()), loss.delayed, loss.unclear)
    ):
        return ToBeKnown(batches, loss.delayed)
    return ToBeKnown(loss.undelayed, mean="ART without lost packets")


def window(
    batches: Batches,
    errors: int,
    seconds: float,
    spec: LoadSpec,
    slow: int | None,
    mean: str = "ART",
) -> StopDecision:
    """Whether the measured window may end after `seconds`.

    `batches` are the whole batches of the window, `errors` counts its failed requests. `slow`
    counts the responses that a retransmission timeout delayed, None where it need not wait for any.
    The window ends when the 95 % interval of the batches' `mean` is within `precision`, after
    `min_seconds`, `min_requests` and `min_slow`. It also ends at `max_seconds`, and the reason
    begins with `CAPPED` or `NEAR` then. It ends after `min_seconds` if every
    request failed.
    """
    requests = int(batches.count.sum())
    width = relative_half_width(art(batches))
    precision = f"{mean} known to {width:.1%}, asked for {spec.precision:.1%}"
    few = max(0, spec.min_requests - requests)
    few_slow = 0 if slow is None else max(0, spec.min_slow - slow)
    reason = ""
    if seconds < spec.min_seconds:
        return StopDecision(False, f"the shortest window ({spec.min_seconds:g} s)")
    if not requests and errors:
        reason = f"all {errors} requests of {seconds:.1f} s failed"
    elif not few and not few_slow and width <= spec.precision:
        reason = f"{precision}, after {seconds:.1f} s and {requests} requests"
    elif seconds >= spec.max_seconds:
        shortfalls = [precision if np.isfinite(width) else f"{mean} has no interval"]
        shortfalls += [f"{requests} of {spec.min_requests} requests"] * (few > 0)
        shortfalls += [f"{slow} of {spec.min_slow} delayed by lost packets"] * (few_slow > 0)
        far = (
            not width <= FAR * spec.precision
            or FAR * requests < spec.min_requests
            or (slow is not None and FAR * slow < spec.min_slow)
        )
        limit = CAPPED if far else NEAR
        reason = f"{limit} of {spec.max_seconds:g} s: {', '.join(shortfalls)}"
    if reason:
        return StopDecision(True, reason)
    if few:
        return StopDecision(False, f"{few} more requests")
    if few_slow:
        return StopDecision(False, f"{few_slow} more responses delayed by lost packets")
    return StopDecision(False, precision)


def cut_short(why: str, seconds: float) -> str:
    """The stop reason of a window that was pruned after `seconds`."""
    return f"cut short after {seconds:.1f} s: {why}"


def window_left(batches: Batches, seconds: float, spec: LoadSpec, slow: int | None) -> float:
    """How many seconds more a window that has lasted for `seconds` (> 0) is expected to take.

    The width of an interval shrinks with the square root of time, and counts grow in proportion to
    time. A window ends with a batch, so it takes at least one more batch.
    """
    requests = float(batches.count.sum())
    total = max(
        spec.min_seconds,
        _until(requests, spec.min_requests, seconds),
        0.0 if slow is None else _until(slow, spec.min_slow, seconds),
    )
    width = relative_half_width(art(batches))
    if np.isfinite(width):
        total = max(total, _until(spec.precision, width, seconds**0.5) ** 2)
    batch = spec.batch_seconds
    more = (min(total, spec.max_seconds) - seconds) / batch
    # Rounded to a thousandth of a batch, so that rounding errors add no batch.
    return batch * max(1, math.ceil(round(more, 3)))


def _until(so_far: float, needed: float, seconds: float) -> float:
    """When a count that is `so_far` after `seconds`, and grows evenly, will reach `needed`."""
    if not needed:
        return 0.0
    return seconds * needed / so_far if so_far else math.inf
