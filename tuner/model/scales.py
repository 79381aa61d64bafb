"""From an objective's values to the coordinates in which a Gaussian process learns them. Pure.

The priors of `tuner.model.trends` are about logarithms of what is measured of a deployment: numbers
with a spread of about one half. Each scale brings its values to such numbers, smaller is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import yeojohnson, yeojohnson_llf

from tuner.arrays import Floats
from tuner.measure.link import LOGARITHM, LinkFunction, link_of
from tuner.model.gp import LogNormal

SPREAD = 0.5
"""The standard deviation of warped values."""

ANY_NOISE = LogNormal(0.01, 1.5)
"""Of warped values: from none at all to as large as their spread."""

_IQR_TO_SD = 1.349


class Scale(Protocol):
    """A monotone function of values that are minimised.

    `noise` is the prior of the sd of a single scaled value; None where the values' own metric says
    it. `plain` says that scaled values are logarithms of the metric itself.
    """

    @property
    def noise(self) -> LogNormal | None: ...

    @property
    def plain(self) -> bool: ...

    def scaled(self, values: Floats, sign: float) -> Floats:
        """Of values in their own unit, shape (n,); `sign` is -1 where they are maximised."""


@dataclass(frozen=True)
class Linked:
    """The scale of a metric's link: the logarithm of one that is above zero."""

    link: LinkFunction = LOGARITHM
    noise: LogNormal | None = None

    @property
    def plain(self) -> bool:
        return self.link == LOGARITHM

    def scaled(self, values: Floats, sign: float) -> Floats:
        return sign * self.link.scaled(values)


@dataclass(frozen=True)
class Warp:
    """A straight line, or one that bends where values are bad; for values of either sign.

    Values are standardised by the median and the spread of the better half, changed by the power
    transform of Yeo and Johnson (Biometrika 87(4), 2000), then standardised by mean and deviation.
    A power of 1 is a straight line. A power of 0 is a logarithm above the median and a parabola
    below it: what is bad is pressed together and what is good drawn apart, so that a few terrible
    values do not hide the differences between good ones.
    """

    centre: float
    width: float
    power: float
    mean: float
    deviation: float
    noise: LogNormal | None = ANY_NOISE
    plain: bool = False

    @classmethod
    def of(cls, values: Floats, sign: float) -> Warp:
        """The one that makes these values, shape (n,), most like a normal sample.

        The power is the most likely one between 0 and 1: good values are never pressed together.
        Where all values are equal it is a straight line.
        """
        lost = sign * values
        if len(lost) == 0:
            return cls(0.0, 1.0, 1.0, 0.0, 1.0)
        centre = float(np.median(lost))
        low, high = np.quantile(lost, (0.25, 0.75))
        width = (
            2 * (centre - float(low)) / _IQR_TO_SD
            or float(high - low) / _IQR_TO_SD
            or float(lost.std())
            or 1.0
        )
        standard = (lost - centre) / width
        power = 1.0
        if standard.std() > 0:
            power = float(
                minimize_scalar(
                    lambda p: -yeojohnson_llf(p, standard), bounds=(0.0, 1.0), method="bounded"
                ).x
            )
        bent = yeojohnson(standard, power)
        return cls(centre, width, power, float(bent.mean()), float(bent.std()) or 1.0)

    def scaled(self, values: Floats, sign: float) -> Floats:
        bent = yeojohnson((sign * values - self.centre) / self.width, self.power)
        scaled: Floats = SPREAD * (bent - self.mean) / self.deviation
        return scaled


def linked(metrics: Sequence[str]) -> Sequence[Scale]:
    """The scale of each metric's link."""
    return [Linked(link_of(metric)) for metric in metrics]
