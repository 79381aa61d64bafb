"""From a metric to the scale on which its bursts are averaged and modelled, and back. Pure.

As in a generalised linear model the function is called a link (McCullagh and Nelder, "Generalized
Linear Models", 1989). On its scale a burst's error has about the same size whatever the value, and
the same difference means about the same to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.measure.measurement import Estimate, Z
from tuner.spec.metrics import METRICS

FLOOR = 1e-6
"""What stands for zero where a logarithm is taken: below the resolution of every metric."""


class LinkFunction(Protocol):
    """A monotone function of a metric that is never negative, and its inverse."""

    def scaled(self, values: npt.ArrayLike) -> Floats:
        """Values in the metric's unit, of any shape, on the scale of the link."""
        ...

    def in_unit(self, scaled: npt.ArrayLike) -> Floats:
        """The inverse; what no value has on the scale becomes the nearest one that has."""
        ...

    def standard_error(self, estimate: Estimate) -> float | None:
        """The standard error of an estimate on the scale; None where it is not known."""
        ...


@dataclass(frozen=True)
class Logarithm:
    """Of a metric that is above zero: errors and differences are shares of the value."""

    def scaled(self, values: npt.ArrayLike) -> Floats:
        logs: Floats = np.log(np.maximum(np.asarray(values, dtype=np.float64), FLOOR))
        return logs

    def in_unit(self, scaled: npt.ArrayLike) -> Floats:
        values = np.exp(np.asarray(scaled, dtype=np.float64))
        return np.where(values > FLOOR * (1 + 1e-9), values, 0.0)

    def standard_error(self, estimate: Estimate) -> float | None:
        return estimate.relative_error


@dataclass(frozen=True)
class ArcSine:
    """Of a share of N, which may be 0: twice the arc sine of its square root.

    The standard error is 1 / sqrt(N) whatever the share, also of 0 of N (Anscombe, Biometrika
    35(3/4), 1948). Near a half, where logarithms would do too, it has their slope. `whole` is the
    metric's value where everything is counted: 1, or 100 of one in percent.
    """

    whole: float

    def scaled(self, values: npt.ArrayLike) -> Floats:
        shares = np.clip(np.asarray(values, dtype=np.float64) / self.whole, 0.0, 1.0)
        angles: Floats = 2 * np.arcsin(np.sqrt(shares))
        return angles

    def in_unit(self, scaled: npt.ArrayLike) -> Floats:
        angles = np.clip(np.asarray(scaled, dtype=np.float64), 0.0, np.pi)
        values: Floats = self.whole * np.sin(angles / 2) ** 2
        return values

    def standard_error(self, estimate: Estimate) -> float | None:
        return _by_ends(self, estimate)


@dataclass(frozen=True)
class LogOfMore:
    """Of a rate of events, which may be 0: the logarithm of one more than the value."""

    def scaled(self, values: npt.ArrayLike) -> Floats:
        logs: Floats = np.log1p(np.maximum(np.asarray(values, dtype=np.float64), 0.0))
        return logs

    def in_unit(self, scaled: npt.ArrayLike) -> Floats:
        values: Floats = np.expm1(np.maximum(np.asarray(scaled, dtype=np.float64), 0.0))
        return values

    def standard_error(self, estimate: Estimate) -> float | None:
        return _by_ends(self, estimate)


def _by_ends(link: LinkFunction, estimate: Estimate) -> float | None:
    """Half the distance of the ends of the 95 % interval, in standard errors."""
    if estimate.low is None or estimate.high is None:
        return None
    low, high = link.scaled([estimate.low, estimate.high]).tolist()
    return float(high - low) / (2 * Z)


LOGARITHM = Logarithm()


def link_of(metric: str) -> LinkFunction:
    """That of a metric; the logarithm for an unknown one."""
    definition = METRICS.get(metric)
    if definition is not None and definition.whole is not None:
        return ArcSine(definition.whole)
    return LogOfMore() if definition is not None and definition.events else LOGARITHM


def scaled_values(values: npt.ArrayLike, metrics: Sequence[str]) -> Floats:
    """Values of several metrics, shape (..., m), each on the scale of its link."""
    columns = np.asarray(values, dtype=np.float64)
    return np.stack([link_of(m).scaled(columns[..., j]) for j, m in enumerate(metrics)], axis=-1)


def values_in_unit(scaled: npt.ArrayLike, metrics: Sequence[str]) -> Floats:
    """The inverse of `scaled_values`."""
    columns = np.asarray(scaled, dtype=np.float64)
    return np.stack([link_of(m).in_unit(columns[..., j]) for j, m in enumerate(metrics)], axis=-1)


def interval_around(metric: str, value: float, half: float) -> Estimate:
    """A value with an interval that reaches `half` to either side on the scale of its link.

    Where a logarithm is taken, 0 has no interval.
    """
    link = link_of(metric)
    if link == LOGARITHM and value <= 0:
        return Estimate(value)
    middle = float(link.scaled(value))
    low, high = link.in_unit([middle - half, middle + half]).tolist()
    return Estimate(value, min(low, value), max(high, value))
