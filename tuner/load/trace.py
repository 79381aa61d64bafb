"""Recorded arrival times, to be replayed (`load.arrivals: trace`). Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.errors import InputError
from tuner.spec.built_in import BUILT_INS
from tuner.spec.study import LoadProfile

_MOST_RPS = BUILT_INS["rate"].below


@dataclass(frozen=True)
class Trace:
    """When requests arrived: gaps before each of them, of mean 1, and how many come a second.

    A replay goes round: the gap before the first request, which nobody recorded, is the mean one.
    """

    gaps: tuple[float, ...]
    rate_rps: float


def trace_of(times: Sequence[float], source: str, scale: float = 1.0) -> Trace:
    """Of ascending times in seconds, recorded in `source`, `scale` times as fast.

    Raises InputError without a rate that can be sent.
    """
    if not times:
        raise InputError(
            f"arrivals: trace replays recorded times, and {source} has none",
            'give each request its time ({"request": ..., "at": 12.5}), or choose other arrivals',
        )
    span = times[-1] - times[0]
    if not span > 0:
        raise InputError(
            f"the requests of {source} have one time, so they have no rate",
            "record two of them at different times, or choose other arrivals",
        )
    mean = span / (len(times) - 1)
    if mean < scale / _MOST_RPS:
        raise InputError(
            f"{source}, {scale:g} times as fast, has {len(times)} requests in {span / scale:.3g} s:"
            f" more than {_MOST_RPS:,.0f} a second",
            "give times in seconds, or lower time_scale",
        )
    gaps = ((later - earlier) / mean for earlier, later in itertools.pairwise(times))
    return Trace((1.0, *gaps), scale / mean)


def replayed(profile: LoadProfile, trace: Trace) -> LoadProfile:
    """The profile with the trace's gaps and, where it has no rate of its own, the trace's rate."""
    rate = trace.rate_rps if profile.rate_rps is None else profile.rate_rps
    return replace(profile, rate_rps=rate, gaps=trace.gaps)
