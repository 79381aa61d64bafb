"""Drawings of several panels, one under another, so that they stay readable on a narrow screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tuner.report import theme

LOGARITHMIC = 20
"""An axis is logarithmic at first where its values span more than this factor."""

_PANEL, _BETWEEN, _SHARED, _AROUND = 230, 96, 32, 128
"""Pixels: a panel's height, between panels with an x axis each and with one, around them."""


def panels(
    axes: Sequence[tuple[str, str]], *, titles: Sequence[str] = (), shared: bool = False
) -> go.Figure:
    """One panel for each (x, y) pair of axis titles; `shared` panels have one x axis, the last."""
    between = _SHARED if shared else _BETWEEN
    inner = _PANEL * len(axes) + between * (len(axes) - 1)
    figure = theme.plot(x="", y="", height=inner + _AROUND)
    figure.set_subplots(
        rows=len(axes),
        cols=1,
        shared_xaxes=shared,
        vertical_spacing=between / inner,
        subplot_titles=titles or None,
    )
    figure.update_annotations(font_size=13)
    figure.update_layout(margin_t=72, legend_y=1 + 28 / inner)
    for row, (x, y) in enumerate(axes, start=1):
        hidden = shared and row < len(axes)
        figure.update_xaxes(title="" if hidden else x, automargin=True, row=row, col=1)
        figure.update_yaxes(title=y, automargin=True, row=row, col=1)
    figure.update_yaxes(nticks=6)
    return figure


def scale(values: Iterable[np.ndarray]) -> str:
    """The kind of axis to begin with: `log` where positive values span a large factor."""
    known = [v[np.isfinite(v) & (v > 0)] for v in values]
    some = np.concatenate(known) if known else np.empty(0)
    return "log" if len(some) and some.max() > LOGARITHMIC * some.min() else "linear"


def light(values: np.ndarray) -> np.ndarray:
    """Numbers as a page carries them: seven digits are more than a figure shows."""
    return values.astype(np.float32)


def line(
    x: np.ndarray, y: np.ndarray, label: str, style: dict[str, Any], hover: str = ""
) -> go.Scatter:
    """A line through the points, light."""
    drawn = go.Scatter(x=light(x), y=light(y), mode="lines", name=label, line=style)
    return drawn.update(hovertemplate=hover) if hover else drawn
