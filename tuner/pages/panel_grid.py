"""Small panels two beside each other, all with the same axes.

Two and not more: so they can be compared along both axes, and are still about 150 pixels wide on a
phone. Every panel in a figure of its own would have axes of its own, and one below another can be
compared along one axis only.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tuner.pages import theme
from tuner.pages.panels import scale
from tuner.pages.theme import Trace

if TYPE_CHECKING:
    import plotly.graph_objects as go


AROUND = 132
"""Pixels above and below the panels."""

_COLUMNS = 2
_PANEL, _BETWEEN, _LINE = 168, 44, 16
"""Pixels: a panel's height, between rows of panels, for each further line of a title."""


def grid(titles: Sequence[str], traces: Sequence[Sequence[Trace]], *, x: str, y: str) -> go.Figure:
    """A grid with a panel per title. The legend has each name once."""
    columns = min(_COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    between = _BETWEEN + _LINE * max(title.count("<br>") for title in titles)
    inner = rows * _PANEL + (rows - 1) * between
    plot = theme.plot(x="", y="", height=inner + AROUND)
    plot.set_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        vertical_spacing=between / inner if rows > 1 else 0,
        horizontal_spacing=0.05,
        subplot_titles=titles,
        x_title=x,
        y_title=y,
    )
    plot.update_annotations(font_size=12)
    below, beside = plot.layout.annotations[-2:]
    below.update(font_size=13, yshift=-26)
    beside.update(font_size=13, xshift=-38)
    seen: set[str] = set()
    for k, panel_traces in enumerate(traces):
        for trace in panel_traces:
            named = trace.get("showlegend", True) and trace["name"] not in seen
            if named:
                seen.add(trace["name"])
            row, col = k // columns + 1, k % columns + 1
            plot.add_trace({**trace, "showlegend": named}, row=row, col=col)
    _axes(plot, len(titles), columns)
    plot.update_layout(
        meta={"log_switch": ["x", "y"]},
        margin={"t": 76, "b": 56, "l": 58},
        legend_y=1 + 30 / inner,
    )
    return plot


def _axes(plot: go.Figure, count: int, columns: int) -> None:
    for name, update in (("x", plot.update_xaxes), ("y", plot.update_yaxes)):
        values = np.concatenate([np.asarray(trace[name], np.float64) for trace in plot.data])
        kind = scale([values]) if (values > 0).all() else "linear"
        update(type=kind, automargin=False, tickfont_size=11, nticks=5, showline=True)
    # What is last in a column may stand above an empty place: it has the axis then.
    for k in range(count):
        last = k + columns >= count
        plot.update_xaxes(showticklabels=last, row=k // columns + 1, col=k % columns + 1)


def wrapped(text: str, width: int) -> str:
    """`text` in lines of at most so many characters, inert to Plotly; empty where it is."""
    lines = textwrap.wrap(text, width, break_long_words=True, break_on_hyphens=False)
    return "<br>".join(map(theme.plotly_text, lines))
