"""The fronts of two studies in one box: what each is worth, and which points beat which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats, Indices
from tuner.measure.measurement import Estimate
from tuner.model.pareto import MARGIN, hypervolume
from tuner.results.averaged import Averaged
from tuner.results.pooled import Pooled
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration

DRAWS = 256
_SLICED_DRAWS = 60
_WIDE = 4.0
_SEED = 20
_TAILS = (0.025, 0.975)
_NEXT_TO_NOTHING = 1e-9
_LEAST_KNOWN = 0.05

Ahead = Literal["A", "B", "each in part", "neither", "only A", "only B", "nothing"]


@dataclass(frozen=True)
class FrontPoint:
    """A configuration of a front by its representative trial; `estimates` in the objectives' order.

    `beaten_by` is the other study's configuration that clearly dominates it by most
    (`Averaged.dominator`), None where none does.
    """

    configuration: Configuration
    trial: int
    estimates: tuple[Estimate, ...]
    beaten_by: Configuration | None

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(e.value for e in self.estimates)


@dataclass(frozen=True)
class Side:
    """One study within a scope: how many configurations it measured there, those of them that may
    be on a front, and its front, sorted by the first objective.

    `share` is its hypervolume as a share of what both fronts together have.
    """

    measured: int
    eligible: int
    front: tuple[FrontPoint, ...]
    share: Estimate

    @property
    def beaten(self) -> int:
        return sum(point.beaten_by is not None for point in self.front)


@dataclass(frozen=True)
class FrontScope:
    """Everything that both could have measured (`scenario` None), or one scenario of it.

    `hypervolume` is that of B as a multiple of A's; None where one of them has no front, or may
    have next to no volume.
    """

    scenario: Configuration | None
    a: Side
    b: Side
    hypervolume: Estimate | None

    @property
    def ahead(self) -> Ahead:
        """Whose points clearly dominate some of the other's, or who alone has a front."""
        if not self.a.front or not self.b.front:
            return "only A" if self.a.front else "only B" if self.b.front else "nothing"
        if self.a.beaten and self.b.beaten:
            return "each in part"
        return "B" if self.a.beaten else "A" if self.b.beaten else "neither"


def front_scope(
    scenario: Configuration | None,
    a: Sequence[Pooled],
    b: Sequence[Pooled],
    directions: Sequence[Direction],
) -> FrontScope:
    """Both studies' configurations of a scope, compared.

    Hypervolumes are taken on logarithmic axes, below the worst values of both that may be on a
    front, so that one box serves both. Their intervals are by draws of what the averages may be.
    A front of noisy points is larger than that of the points themselves, so draws tell how far a
    hypervolume is known, about what was measured.
    """
    rows = [p for p in (*a, *b) if p.eligible]
    of_a, of_b = np.split(np.arange(len(rows)), [sum(p.eligible for p in a)])
    shape = len(rows), len(directions)
    both = Averaged(
        tuple(p.configuration for p in rows),
        tuple(directions),
        np.array([p.values for p in rows]).reshape(shape),
        np.array([p.sd for p in rows]).reshape(shape),
        np.ones(len(rows), np.bool_),
    )

    def points(own: Indices, other: Indices) -> tuple[FrontPoint, ...]:
        front = []
        for row in both.front(own).tolist():
            pooled, by = rows[row], both.dominator(row, other)
            estimates = tuple(pooled.estimate(i) for i in range(len(directions)))
            beaten_by = None if by is None else both.configurations[by]
            front.append(
                FrontPoint(pooled.configuration, pooled.representative.number, estimates, beaten_by)
            )
        return tuple(front)

    share_a, share_b, ratio = _volumes(both, of_a, of_b)
    return FrontScope(
        scenario,
        Side(len(a), len(of_a), points(of_a, of_b), share_a),
        Side(len(b), len(of_b), points(of_b, of_a), share_b),
        ratio,
    )


def _volumes(
    both: Averaged, of_a: Indices, of_b: Indices
) -> tuple[Estimate, Estimate, Estimate | None]:
    """The shares of A and B, and B's hypervolume as a multiple of A's."""
    if not len(both.values):
        return Estimate(0.0), Estimate(0.0), None
    reference = both.logs.max(axis=0) + MARGIN
    whole, *values = (hypervolume(both.logs[own], reference) for own in (slice(None), of_a, of_b))
    # Each study is drawn by the same numbers, whichever stands first, and one half of the draws
    # of one meets the other half of the other's: that is the same for B against A.
    points_a, points_b = (_drawn(both.logs[own], both.errors[own]) for own in (of_a, of_b))
    points_b = np.roll(points_b, len(points_b) // 2, axis=0)
    together = _hypervolumes(np.concatenate([points_a, points_b], axis=1), reference)
    drawn = [_hypervolumes(points, reference) for points in (points_a, points_b)]
    share_a, share_b = (
        _interval(value / whole, draws / np.maximum(together, _NEXT_TO_NOTHING))
        for value, draws in zip(values, drawn, strict=True)
    )
    if any(
        np.quantile(draws, _TAILS[0]) <= _LEAST_KNOWN * v
        for v, draws in zip(values, drawn, strict=True)
    ):
        return share_a, share_b, None
    # By logarithms, so that the interval of B against A is the inverse of A's against B.
    logs = [np.log(np.maximum(draws, _NEXT_TO_NOTHING)) for draws in drawn]
    about = (logs[1] - np.median(logs[1])) - (logs[0] - np.median(logs[0]))
    by = np.exp(np.quantile(about, _TAILS)).tolist()
    value = values[1] / values[0]
    return share_a, share_b, Estimate(value, value * min(1.0, by[0]), value * max(1.0, by[1]))


def _drawn(logs: Floats, errors: Floats) -> Floats:
    """The points as they may be, shape (draws, n, m); without those that are surely dominated."""
    near = _near(logs, errors)
    logs, errors = logs[near], errors[near]
    count = DRAWS if logs.shape[1] < 3 else _SLICED_DRAWS
    normal = np.random.default_rng(_SEED).standard_normal((count, *logs.shape))
    points: Floats = logs + errors * normal
    return points


def _near(logs: Floats, errors: Floats) -> npt.NDArray[np.bool_]:
    best, worst = logs - _WIDE * errors, logs + _WIDE * errors
    surely = [bool((worst < point).all(axis=1).any()) for point in best]
    return ~np.array(surely, dtype=np.bool_)


def _hypervolumes(points: Floats, reference: Floats) -> Floats:
    """Shape (draws,)."""
    return np.array([hypervolume(drawn, reference) for drawn in points])


def _interval(value: float, draws: Floats) -> Estimate:
    """`value` with the interval of draws, widened to hold it."""
    if not value:
        return Estimate(0.0)
    low, high = np.quantile(draws, _TAILS).tolist()
    return Estimate(value, min(low, value), max(high, value))
