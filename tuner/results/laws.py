"""Whether a curve follows a simple law, and how to say it: so much per unit, or per doubling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.results.wording import between, figure, one, reading
from tuner.spec.space import Parameter

_FITS = 0.05
"""A law holds where no value is further off than this share."""

_WORTH_SAYING = 0.01
"""A change per unit below this share of the curve's mean is of no use to a reader."""


@dataclass(frozen=True, eq=False)
class Law:
    """`slope`, shape (draws,): per unit in the metric's unit (`sum`), the factor per unit less one
    (`factor`), or the factor per doubling less one (`doubling`).
    """

    kind: Literal["sum", "factor", "doubling"]
    slope: Floats

    def text(self, parameter: Parameter, metric: str) -> str:
        """`each replica adds 11 % (9 to 13)`."""
        slope = float(self.slope.mean())
        verb = "adds" if slope > 0 else "takes off"
        sides = self.slope if slope > 0 else -self.slope
        if self.kind == "sum":
            size = reading(metric, abs(slope))
            return f"each {one(parameter)} {verb} {size} ({between(sides)})"
        unit = f"doubling of {parameter.name}" if self.kind == "doubling" else one(parameter)
        return f"each {unit} {verb} {figure(100 * abs(slope))} % ({between(sides, 100)})"


def law_of(positions: npt.ArrayLike, draws: Floats, *, sums: bool = True) -> Law | None:
    """The law that the mean of `draws`, shape (draws, V), follows; None where none fits.

    `positions`, shape (V,), are the parameter's values. Straight lines by least squares, of the
    metric or its logarithm. A sum is the plainest, and is said wherever it fits; else what fits
    best. Two values follow any law, so at least three are needed. Without `sums` none is said: of a
    metric in percent, "adds 5 %" would be read as a factor.
    """
    x = np.asarray(positions, dtype=np.float64)
    if len(x) < 3:
        return None
    mean, logs = draws.mean(axis=0), np.log(draws)
    line, slope = _straight(x, draws)
    worth = abs(slope.mean()) >= _WORTH_SAYING * mean.mean()
    if sums and worth and _off(line, mean) <= _FITS:
        return Law("sum", slope)
    fits: list[tuple[float, Law]] = []
    line, slope = _straight(x, logs)
    if abs(slope.mean()) >= _WORTH_SAYING:
        fits.append((_off(np.exp(line), mean), Law("factor", np.expm1(slope))))
    if (x > 0).all():
        line, slope = _straight(np.log2(x), logs)
        fits.append((_off(np.exp(line), mean), Law("doubling", np.expm1(slope))))
    off, best = min(fits, key=lambda fit: fit[0], default=(np.inf, None))
    return best if off <= _FITS else None


def _straight(x: Floats, curves: Floats) -> tuple[Floats, Floats]:
    """The mean curve's line at x, shape (V,), and every curve's slope, shape (draws,)."""
    centred = x - x.mean()
    slopes = curves @ centred / (centred @ centred)
    mean = curves.mean(axis=0)
    line: Floats = mean.mean() + slopes.mean() * centred
    return line, slopes


def _off(line: Floats, mean: Floats) -> float:
    return float(np.abs(line / mean - 1).max())
