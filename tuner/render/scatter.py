"""Points drawn with characters, plain enough for a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.measure.link import FLOOR
from tuner.pages.blocks import Scatter
from tuner.results.wording import figure

NARROWEST = 60
"""Columns below which nothing is drawn."""

WIDEST, HEIGHT = 78, 18

LOGARITHMIC = 20
"""An axis is logarithmic where its values span more than this factor."""

_TICKS = 5


def drawn(scatter: Scatter, width: int) -> str:
    """Lines of at most `width` and `WIDEST` characters, with ANSI colours."""
    # Not before it is needed: it loads a library of its own.
    import plotext  # noqa: PLC0415

    plot = plotext.figure
    plot.clear()
    plot.theme("colorless")
    plot.plot_size(min(width, WIDEST), HEIGHT)
    plot.legend(active=False)
    plot.label(scatter.x, "x", "lower")
    points = [point for series in scatter.series for point in series.points]
    axes = [PlotAxis.of([point[index] for point in points]) for index in (0, 1)]
    for series in scatter.series:
        if series.points:
            coloured = plotext.colorize(series.marker, series.colour)
            places = ([axes[i].place(point[i]) for point in series.points] for i in (0, 1))
            plot.draw(plot.signal(*places, marker=coloured))
    for axis, name, side in zip(axes, "xy", ("lower", "left"), strict=True):
        ruler = plot.ruler(name, side)
        ruler.lim(axis.place(axis.low), axis.place(axis.high))
        ticks = axis.ticks()
        ruler.ticks([axis.place(tick) for tick in ticks], [figure(tick) for tick in ticks])
    text: str = plot.build().string()
    return text


@dataclass(frozen=True)
class PlotAxis:
    """From `low` to `high`, in the unit of what is drawn along it."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> PlotAxis:
        """Around the values, with a margin."""
        low, high = min(values), max(values)
        if low >= FLOOR and high > LOGARITHMIC * low:
            margin = (high / low) ** 0.04
            return cls(low / margin, high * margin, logarithmic=True)
        margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - margin, high + margin, logarithmic=False)

    def place(self, value: float) -> float:
        """Where it is, on an even scale."""
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """A few round values between the ends."""
        low, high = self.low, self.high
        if not self.logarithmic:
            step = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
            step *= next(s for s in (1, 2, 5, 10) if (high - low) / (s * step) <= _TICKS)
            first, last = math.ceil(low / step), math.floor(high / step)
            return [n * step for n in range(first, last + 1)]
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        choices = [
            [d * 10.0**n for n in decades for d in digits if low <= d * 10.0**n <= high]
            for digits in ((1, 2, 5), (1, 3), (1,))
        ]
        few = next((ticks for ticks in choices if len(ticks) <= _TICKS + 2), choices[-1])
        return few[:: 1 + len(few) // (_TICKS + 3)]
