"""What the figures of two studies side by side show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.results.two_fronts import FrontPoint, FrontScope
from tuner.results.two_studies import TwoStudies

MOST_ROWS = 30
"""So many ratios are drawn at most."""

MOST_PANELS = 12
"""Of so many scopes the fronts are drawn at most."""


@dataclass(frozen=True)
class ForestRow:
    """One configuration's ratio with its own interval; `adjusted` is its p-value after correction.

    `values_a` and `values_b` are what it is the ratio of, in the metric's unit.
    """

    label: str
    ratio: Estimate
    adjusted: float
    differs: bool
    value_a: float
    value_b: float


@dataclass(frozen=True)
class Forest:
    """The ratios of one objective, from the smallest to the largest, and their mean.

    `left_out` counts those that are least sure, where there are more than `MOST_ROWS`.
    """

    rows: tuple[ForestRow, ...]
    mean: Estimate
    count: int
    left_out: int


def forest(found: TwoStudies, metric: str) -> Forest | None:
    """None where no configuration has a ratio of that objective."""
    overall = found.overall.get(metric)
    if overall is None:
        return None
    index = [o.metric for o in found.objectives].index(metric)
    rows = [
        ForestRow(
            str(pair.configuration),
            Estimate(ratio.value, ratio.low, ratio.high),
            ratio.adjusted,
            ratio.differs,
            pair.values_a[index],
            pair.values_b[index],
        )
        for pair in found.pairs
        if (ratio := pair.ratios.get(metric)) is not None
    ]
    shown = sorted(rows, key=lambda row: row.adjusted)[:MOST_ROWS]
    shown.sort(key=lambda row: row.ratio.value)
    return Forest(tuple(shown), overall.ratio, overall.count, len(rows) - len(shown))


def scope_label(scope: FrontScope) -> str:
    """The scenario, or `everything`."""
    return "everything" if scope.scenario is None else str(scope.scenario) or "no parameter"


def drawn_scopes(found: TwoStudies) -> tuple[FrontScope, ...]:
    """Those in which anybody has a front: the scenarios with most configurations, in order.

    Without scenarios it is everything; with a single one there is nothing else to see.
    """
    scopes = [s for s in found.scopes if s.a.front or s.b.front]
    inner = [s for s in scopes if s.scenario is not None]
    if not inner:
        return tuple(scopes)
    most = sorted(inner, key=lambda s: -(s.a.measured + s.b.measured))[:MOST_PANELS]
    return tuple(s for s in inner if s in most)


@dataclass(frozen=True)
class Bar:
    """The hypervolumes of a scope as shares of both fronts', 0 to 1."""

    label: str
    a: Estimate
    b: Estimate


def bars(found: TwoStudies) -> tuple[Bar, ...]:
    """Of every scope in which anybody has a front."""
    return tuple(
        Bar(scope_label(s), s.a.share, s.b.share) for s in found.scopes if s.a.front or s.b.front
    )


@dataclass(frozen=True)
class Series:
    """Values with how far the interval reaches below and above them."""

    values: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]


def series(some: Sequence[Estimate]) -> Series:
    """Without an interval it reaches nowhere."""
    return Series(
        tuple(e.value for e in some),
        tuple(0.0 if e.low is None else e.value - e.low for e in some),
        tuple(0.0 if e.high is None else e.high - e.value for e in some),
    )


def estimates(points: Sequence[FrontPoint], index: int) -> Series:
    """Objective `index` of a front's points."""
    return series([point.estimates[index] for point in points])
