"""How two studies are drawn side by side: A is blue and round, B orange and a diamond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.measure.measurement import Estimate
from tuner.pages import theme
from tuner.pages.panel_grid import wrapped
from tuner.results.two_fronts import FrontScope


def scope_label(scope: FrontScope) -> str:
    """The scenario, or `everything`."""
    return "everything" if scope.scenario is None else str(scope.scenario) or "no parameter"


@dataclass(frozen=True)
class Series:
    """Values with how far the interval reaches below and above them."""

    values: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]


def series(intervals: Sequence[Estimate]) -> Series:
    """The values with their intervals. Where an interval is unknown, its length is 0."""
    return Series(
        tuple(e.value for e in intervals),
        tuple(0.0 if e.low is None else e.value - e.low for e in intervals),
        tuple(0.0 if e.high is None else e.high - e.value for e in intervals),
    )


@dataclass(frozen=True)
class StudyMark:
    """What a study is drawn as."""

    name: str
    colour: str
    symbol: str


A, B = StudyMark("A", theme.BLUE, "circle"), StudyMark("B", theme.ORANGE, "diamond")

_LINE = 30
"""Characters of a line of a label."""


def errors(ends: Series, colour: str) -> dict[str, Any]:
    """Error bars of Plotly's, thin enough to stand beside one another."""
    return {
        "type": "data",
        "symmetric": False,
        "array": ends.above,
        "arrayminus": ends.below,
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def p_value(p: float) -> str:
    """Three decimals: `0.031`."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def label_lines(label: str) -> str:
    """What a panel or a bar is named."""
    return wrapped(label, _LINE) or "-"
