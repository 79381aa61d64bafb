"""The front as a small plot in the terminal, plain enough for a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tuner.cli.tables import console
from tuner.measure.record import StudyRecord
from tuner.model.pareto import FLOOR
from tuner.results.summary import Summary
from tuner.results.wording import figure
from tuner.spec.metrics import title

NARROWEST = 60
"""Columns below which there is no plot."""

WIDEST, HEIGHT = 78, 18

LOGARITHMIC = 20
"""An axis is logarithmic where its values span more than this factor."""

TRIALS, FRONT = ".", "o"
_COLOURS = {TRIALS: "gray", FRONT: "blue"}
_TICKS = 5

_Point = tuple[float, float]


def show_plot(study: StudyRecord, summary: Summary) -> None:
    """Print the plot of the first two objectives; nothing with one, or where there is no room."""
    if len(study.objectives) < 2 or not summary.front or console.width < NARROWEST:
        return
    x, y = (title(o.metric) for o in study.objectives[:2])
    front = [summary.pooled[t.number] for t in summary.front]
    on_front = {id(one) for one in front}
    others = [p for p in summary.pooled.values() if p.bursts and id(p) not in on_front]
    plot = Text.from_ansi(
        drawn(
            [(p.values[0], p.values[1]) for p in others],
            [(p.values[0], p.values[1]) for p in front],
            x,
            min(WIDEST, console.width),
        )
    )
    rest = f"   {TRIALS} others" if others else ""
    console.print(f"{y}   {FRONT} front{rest}")
    for line in plot.split():
        line.rstrip()
        console.print(line)


def drawn(others: Sequence[_Point], front: Sequence[_Point], x: str, width: int) -> str:
    """Lines of at most `width` characters with ANSI colours; `x` is the title of that axis."""
    # Not before it is needed: it loads a library of its own.
    import plotext

    plot = plotext.figure
    plot.clear()
    plot.theme("colorless")
    plot.plot_size(width, HEIGHT)
    plot.legend(active=False)
    plot.label(x, "x", "lower")
    axes = [Axis.of([point[index] for point in (*others, *front)]) for index in (0, 1)]
    for points, marker in ((others, TRIALS), (front, FRONT)):
        if points:
            coloured = plotext.colorize(marker, _COLOURS[marker])
            places = ([axes[i].place(point[i]) for point in points] for i in (0, 1))
            plot.draw(plot.signal(*places, marker=coloured))
    for axis, name, side in zip(axes, "xy", ("lower", "left"), strict=True):
        ruler = plot.ruler(name, side)
        ruler.lim(axis.place(axis.low), axis.place(axis.high))
        ticks = axis.ticks()
        ruler.ticks([axis.place(tick) for tick in ticks], [figure(tick) for tick in ticks])
    text: str = plot.build().string()
    return text


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, in the unit of what is drawn along it."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Axis:
        """Around the values, with some room."""
        low, high = min(values), max(values)
        if low >= FLOOR and high > LOGARITHMIC * low:
            room = (high / low) ** 0.04
            return cls(low / room, high * room, logarithmic=True)
        room = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - room, high + room, logarithmic=False)

    def place(self, value: float) -> float:
        """Where it is, on an even scale."""
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values between the ends, of which there are a few."""
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
        few = next((some for some in choices if len(some) <= _TICKS + 2), choices[-1])
        return few[:: 1 + len(few) // (_TICKS + 3)]
