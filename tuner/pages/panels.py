"""Drawings of several panels, one under another, so that they stay readable on a narrow screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tuner.pages import theme
from tuner.pages.theme import Trace

if TYPE_CHECKING:
    import plotly.graph_objects as go


LOGARITHMIC = 20
"""An axis is logarithmic at first where its values span more than this factor."""

_PANEL, _BETWEEN, _SHARED, _AROUND = 230, 96, 32, 128
"""Pixels: a panel's height, between panels with an x axis each and with one, around them."""


@dataclass(frozen=True, eq=False)
class Panel:
    """`traces` over axes with the titles `x` and `y`, of which `xaxis` and `yaxis` say the rest."""

    x: str
    y: str
    traces: Sequence[Trace]
    xaxis: Mapping[str, Any] = field(default_factory=dict)
    yaxis: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


def panels(
    stacked: Sequence[Panel],
    *,
    shared: bool = False,
    traces: Iterable[Trace] = (),
    **layout: object,
) -> go.Figure:
    """The panels `stacked`, from top to bottom.

    `shared` panels have one x axis, below the last. The first panel has Plotly's axes x and y, the
    next one x2 and y2. `traces` are drawn too, and name their axes. `layout` is added.
    """
    between = _SHARED if shared else _BETWEEN
    inner = _PANEL * len(stacked) + between * (len(stacked) - 1)
    looks: dict[str, Any] = {
        "height": inner + _AROUND,
        "margin": {"t": 72},
        "legend": {"y": 1 + 28 / inner},
    }
    drawn: list[Trace] = []
    titles: list[dict[str, Any]] = []
    for k, panel in enumerate(stacked):
        name = str(k + 1) if k else ""
        below = len(stacked) - 1 - k
        domain = _domain(below, len(stacked), between / inner)
        linked = (
            {"matches": f"x{len(stacked)}", "showticklabels": False} if shared and below else {}
        )
        x = theme.axis("" if linked else panel.x, anchor=f"y{name}", domain=[0.0, 1.0], **linked)
        y = theme.axis(panel.y, anchor=f"x{name}", domain=domain, nticks=6)
        looks |= {f"xaxis{name}": {**x, **panel.xaxis}, f"yaxis{name}": {**y, **panel.yaxis}}
        drawn += [{"xaxis": f"x{name}", "yaxis": f"y{name}", **trace} for trace in panel.traces]
        if panel.title:
            titles.append(_title(panel.title, domain[1]))
    if titles:
        looks["annotations"] = titles
    return theme.drawing([*drawn, *traces], looks, layout)


def _domain(below: int, count: int, between: float) -> list[float]:
    """From where to where a panel with so many below it reaches: shares of the height of all."""
    height = (1.0 - between * (count - 1)) / count
    low = sum([height] * below) + below * between
    return [low, min(low + height, 1.0)]


def _title(text: str, y: float) -> dict[str, Any]:
    """In the middle above a panel that ends at `y`."""
    return {
        "text": text,
        "x": 0.5,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 13},
    }


def scale(values: Iterable[np.ndarray]) -> str:
    """The axis type to begin with: `log` where the positive values span a large factor."""
    positive = [v[np.isfinite(v) & (v > 0)] for v in values]
    numbers = np.concatenate(positive) if positive else np.empty(0)
    return "log" if len(numbers) and numbers.max() > LOGARITHMIC * numbers.min() else "linear"


def light(values: np.ndarray) -> np.ndarray:
    """Numbers as a page carries them: seven digits are more than a figure shows."""
    return values.astype(np.float32)


def line(
    x: np.ndarray, y: np.ndarray, name: str, style: Mapping[str, Any], **more: object
) -> Trace:
    """A line through the points, light; what `more` says stands over that."""
    through = {"type": "scatter", "x": light(x), "y": light(y), "mode": "lines"}
    return {**through, "name": name, "line": style, **more}
