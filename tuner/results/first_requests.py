"""Response time by the order in which requests were sent: how cold the first ones are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tuner.arrays import Counts, Floats, Mask
from tuner.load.parquet import Recording
from tuner.measure.samples import RequestOutcome
from tuner.results.burst_latency import in_window

T = TypeVar("T")

POINTS = 2000
"""Of a trace, at most."""
HEAD = 40
"""The first requests, of which all are drawn."""
FIRST = 3
"""So many first requests are compared with a replica's usual one."""
SLOW = 1.5
"""A first request counts as slow from so many times the usual response time on."""


@dataclass(frozen=True, eq=False)
class Sent:
    """The requests that one replica was sent in a burst, warm-up too, in order of sending.

    `ms` has the response times, `ok` whether each succeeded; both have shape (n,). `usual_ms` is
    the median of those that succeeded in the window, None where none did. The first `warmup` of
    them had completed before the window began, or were sent before one that had.
    """

    replica: int
    ms: Floats
    ok: Mask
    usual_ms: float | None
    warmup: int

    def __len__(self) -> int:
        return len(self.ms)

    @property
    def ratios(self) -> Floats:
        """The first `FIRST` response times over the usual one; empty where that is not known.

        What failed has no response time, so it is nan.
        """
        if not self.usual_ms:
            return np.empty(0)
        return np.where(self.ok, self.ms, np.nan)[:FIRST] / self.usual_ms

    @property
    def slow(self) -> int:
        """How many of the first requests in a row took at least `SLOW` times the usual time."""
        if not self.usual_ms:
            return 0
        quick = np.flatnonzero(self.ms < SLOW * self.usual_ms)
        return int(quick[0]) if len(quick) else len(self)


def sent(recording: Recording) -> tuple[Sent, ...]:
    """What each replica was sent. Requests that were never sent are left out."""
    samples = recording.samples
    window = in_window(recording)
    good = window.outcome == RequestOutcome.OK
    at = samples.start_ns + samples.delay_ns
    before = samples.start_ns + samples.duration_ns < recording.window_start_ns
    by_replica = []
    for replica in np.unique(samples.replica[samples.replica >= 0]).tolist():
        mine = np.flatnonzero(samples.replica == replica)
        order = mine[np.argsort(at[mine], kind="stable")]
        usual = window.duration_ns[good & (window.replica == replica)]
        warm = np.flatnonzero(before[order])
        by_replica.append(
            Sent(
                replica,
                samples.duration_ns[order] / 1e6,
                samples.outcome[order] == RequestOutcome.OK,
                float(np.median(usual)) / 1e6 if len(usual) else None,
                int(warm[-1]) + 1 if len(warm) else 0,
            )
        )
    return tuple(by_replica)


def thinned(values: Floats, skip: int = 0, points: int = POINTS) -> Counts:
    """Which of `values`, shape (n,), to draw after the first `skip`: ascending, at most `points`.

    All where there are no more. Otherwise the first `HEAD`, and of equal runs of the rest the least
    and the greatest each, so that nothing that stands out is lost: the least and the greatest of
    all stay too. `points` is more than `HEAD` + 2.
    """
    rest = np.arange(skip, len(values))
    if len(rest) <= points:
        return rest
    head, tail = rest[:HEAD], rest[HEAD:]
    runs = np.array_split(tail, (points - HEAD) // 2)
    ends = [run[[np.argmin(values[run]), np.argmax(values[run])]] for run in runs]
    return np.unique(np.concatenate([head, *ends]))


@dataclass(frozen=True)
class Spread:
    """How the k-th request of a replica (`nth`, from 1) compares with its usual one, over `count`
    replicas: quantiles of the ratio.
    """

    nth: int
    count: int
    p5: float
    p25: float
    median: float
    p75: float
    p95: float


def spreads(of: Iterable[Sequence[Sent]]) -> tuple[Spread, ...]:
    """How the first requests compare, over all replicas of all bursts.

    A replica whose k-th request failed does not count for k.
    """
    replicas = [s.ratios for burst in of for s in burst if len(s.ratios)]
    by_number = []
    for k in range(FIRST):
        ratios = np.array([r[k] for r in replicas if len(r) > k and np.isfinite(r[k])])
        if len(ratios):
            quantiles = np.quantile(ratios, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
            by_number.append(Spread(k + 1, len(ratios), *quantiles))
    return tuple(by_number)


def spread_evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """At most `most` (>= 2) of them, in order, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[i] for i in np.rint(np.linspace(0, len(items) - 1, most)).astype(int).tolist()]
