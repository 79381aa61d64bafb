"""The fronts of two studies in one plane, scenario by scenario."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tuner.analysis.two_fronts import FrontPoint, FrontScope
from tuner.analysis.two_studies import TwoStudies
from tuner.report import theme
from tuner.report.comparison_marks import AROUND, A, B, Mark, errors, interval, wrapped
from tuner.report.data.comparison import drawn_scopes, estimates, scope_label
from tuner.report.page import Figure, Table
from tuner.report.panels import scale
from tuner.spec.metrics import title
from tuner.spec.space import Configuration

_COLUMNS = 2
_PANEL, _BETWEEN = 190, 60
"""Pixels: a panel's height, between rows of panels."""


def fronts_figure(found: TwoStudies) -> Figure | None:
    """Both fronts in one plane, a panel for each scenario; None where nobody has a front."""
    scopes = drawn_scopes(found)
    if not scopes:
        return None
    plot = _lines(found, scopes) if len(found.objectives) == 1 else _panels(found, scopes)
    said = ["Points have 95 % intervals."]
    if len(found.objectives) > 1:
        said.append("All panels have the same axes; a line bounds what a front dominates.")
    if len(found.objectives) > 2:
        said.append("Of the objectives the first two are drawn; the table has all.")
    if len(scopes) < len(found.scopes) - 1:
        said.append("The table has every scenario.")
    return Figure("fronts", "Both fronts", " ".join(said), plot, _front_table(found))


def _panels(found: TwoStudies, scopes: Sequence[FrontScope]) -> go.Figure:
    x, y = (title(o.metric) for o in found.objectives[:2])
    columns = min(_COLUMNS, len(scopes))
    rows = -(-len(scopes) // columns)
    inner = rows * _PANEL + (rows - 1) * _BETWEEN
    plot = theme.plot(x="", y="", height=inner + AROUND)
    plot.set_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        vertical_spacing=_BETWEEN / inner if rows > 1 else 0,
        horizontal_spacing=0.05,
        subplot_titles=[wrapped(scope_label(scope)) for scope in scopes],
        x_title=x,
        y_title=y,
    )
    plot.update_annotations(font_size=12)
    plot.layout.annotations[-1].xshift = -38
    plot.layout.annotations[-2].yshift = -26
    seen: set[str] = set()
    values: list[tuple[float, ...]] = []
    for place, scope in enumerate(scopes):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for mark, side in ((A, scope.a), (B, scope.b)):
            if side.front:
                trace = _front(found, mark, side.front)
                trace.showlegend = mark.name not in seen
                seen.add(mark.name)
                values += [point.values[:2] for point in side.front]
                plot.add_trace(trace, **at)
    for index, update in enumerate((plot.update_xaxes, plot.update_yaxes)):
        known = np.array([pair[index] for pair in values])
        kind = scale([known]) if (known > 0).all() else "linear"
        update(type=kind, automargin=False, tickfont_size=11, nticks=5, showline=True)
    # What is last in a column may stand above an empty place: it has the axis then.
    for place in range(len(scopes)):
        last = place + columns >= len(scopes)
        plot.update_xaxes(showticklabels=last, row=place // columns + 1, col=place % columns + 1)
    plot.update_layout(
        meta={"log_switch": ["x", "y"]},
        margin={"t": 76, "b": 56, "l": 58},
        legend_y=1 + 30 / inner,
    )
    return plot


def _front(found: TwoStudies, mark: Mark, points: Sequence[FrontPoint]) -> go.Scatter:
    across, up = estimates(points, 0), estimates(points, 1)
    bounded = len(found.objectives) == 2
    steps = "hv" if found.objectives[0].direction == "minimize" else "vh"
    return go.Scatter(
        x=across.values,
        y=up.values,
        mode="lines+markers" if bounded else "markers",
        line={"shape": steps, "color": mark.colour, "width": 1.5},
        name=mark.name,
        legendgroup=mark.name,
        marker={"color": mark.colour, "symbol": mark.symbol, "size": 8},
        error_x=errors(across, mark.colour),
        error_y=errors(up, mark.colour),
        customdata=_hover(points),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}"
        f"<extra>{mark.name}</extra>",
    )


def _lines(found: TwoStudies, scopes: Sequence[FrontScope]) -> go.Figure:
    """A single objective: a line per scenario."""
    plot = theme.plot(x=title(found.objectives[0].metric), y="", height=AROUND + 40 * len(scopes))
    for mark in (A, B):
        sides = [(scope, scope.a if mark is A else scope.b) for scope in scopes]
        points = [(scope, point) for scope, side in sides for point in side.front]
        ends = estimates([point for _, point in points], 0)
        plot.add_trace(
            go.Scatter(
                x=ends.values,
                y=[wrapped(scope_label(scope)) for scope, _ in points],
                mode="markers",
                name=mark.name,
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 9},
                error_x=errors(ends, mark.colour),
                customdata=_hover([point for _, point in points]),
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}"
                f"<extra>{mark.name}</extra>",
            )
        )
    plot.update_yaxes(type="category", autorange="reversed")
    plot.update_layout(meta={"log_switch": ["x"]}, margin_t=56)
    return plot


def _hover(points: Sequence[FrontPoint]) -> list[list[str]]:
    return [
        [
            theme.plain(str(p.configuration)),
            ", ".join(map(interval, p.estimates)),
            theme.plain(_beaten(p.beaten_by)),
        ]
        for p in points
    ]


def _beaten(by: Configuration | None) -> str:
    return "" if by is None else f"clearly dominated by the other's {by}"


def _front_table(found: TwoStudies) -> Table:
    rows = [
        (scope_label(scope), name, str(point.configuration), *map(interval, point.estimates),
         "-" if point.beaten_by is None else str(point.beaten_by))
        for scope in found.scopes
        for name, side in (("A", scope.a), ("B", scope.b))
        for point in side.front
    ]  # fmt: skip
    metrics = (title(o.metric) for o in found.objectives)
    return Table(
        ("scenario", "study", "configuration", *metrics, "clearly dominated by the other's"),
        tuple(rows),
        "The points of both fronts, with 95 % intervals",
    )
