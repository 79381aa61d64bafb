"""How two studies are drawn side by side: A is blue and round, B orange and a diamond."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from tuner.measure.measurement import Estimate
from tuner.reading.wording import figure as number
from tuner.report import theme
from tuner.report.data.comparison import Series


@dataclass(frozen=True)
class Mark:
    name: str
    colour: str
    symbol: str


A, B = Mark("A", theme.BLUE, "circle"), Mark("B", theme.ORANGE, "diamond")

AROUND = 132
"""Pixels above and below a drawing."""

_LINE = 30
"""Characters of a line of a label."""


def errors(ends: Series, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": ends.above,
        "arrayminus": ends.below,
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def interval(of: Estimate) -> str:
    if of.low is None or of.high is None:
        return number(of.value)
    return f"{number(of.value)} ({number(of.low)} to {number(of.high)})"


def p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def wrapped(label: str) -> str:
    lines = textwrap.wrap(label, _LINE, break_long_words=True, break_on_hyphens=False)
    return "<br>".join(map(theme.plain, lines)) or "-"
