"""The fronts of two studies in one plane, scenario by scenario."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.comparison_marks import (
    A,
    B,
    Series,
    StudyMark,
    errors,
    label_lines,
    scope_label,
    series,
)
from tuner.pages.panel_grid import AROUND, grid
from tuner.pages.theme import Trace
from tuner.results.two_fronts import FrontPoint, FrontScope
from tuner.results.two_studies import TwoStudies
from tuner.results.wording import interval
from tuner.spec.metrics import title
from tuner.spec.space import Configuration

if TYPE_CHECKING:
    import plotly.graph_objects as go


MOST_PANELS = 12
"""Of so many scopes the fronts are drawn at most."""


def drawn_scopes(comparison: TwoStudies) -> tuple[FrontScope, ...]:
    """The scenarios to draw, in their order: those with a front and with most configurations.

    Without scenarios, the one scope that holds everything.
    """
    scopes = [s for s in comparison.scopes if s.a.front or s.b.front]
    inner = [s for s in scopes if s.scenario is not None]
    if not inner:
        return tuple(scopes)
    most = sorted(inner, key=lambda s: -(s.a.measured + s.b.measured))[:MOST_PANELS]
    return tuple(s for s in inner if s in most)


def estimates(points: Sequence[FrontPoint], index: int) -> Series:
    """Objective `index` of a front's points."""
    return series([point.estimates[index] for point in points])


def fronts_figure(comparison: TwoStudies) -> Figure | None:
    """Both fronts in one panel per scenario. None where neither study has a front."""
    scopes = drawn_scopes(comparison)
    if not scopes:
        return None
    plot = (
        _lines(comparison, scopes)
        if len(comparison.objectives) == 1
        else _panels(comparison, scopes)
    )
    said = ["Points have 95 % intervals."]
    if len(comparison.objectives) > 1:
        said.append("All panels have the same axes; a line bounds what a front dominates.")
    if len(comparison.objectives) > 2:
        said.append("Of the objectives the first two are drawn; the table has all.")
    if len(scopes) < len(comparison.scopes) - 1:
        said.append("The table has every scenario.")
    return Figure("fronts", "Both fronts", " ".join(said), plot, _front_table(comparison))


def _panels(comparison: TwoStudies, scopes: Sequence[FrontScope]) -> go.Figure:
    x, y = (title(o.metric) for o in comparison.objectives[:2])
    titles = [label_lines(scope_label(scope)) for scope in scopes]
    return grid(titles, [[*_fronts(comparison, scope)] for scope in scopes], x=x, y=y)


def _fronts(comparison: TwoStudies, scope: FrontScope) -> Iterator[Trace]:
    bounded = len(comparison.objectives) == 2
    steps = "hv" if comparison.objectives[0].direction == "minimize" else "vh"
    for mark, side in ((A, scope.a), (B, scope.b)):
        if side.front:
            across, up = estimates(side.front, 0), estimates(side.front, 1)
            yield {
                **_points(mark, side.front, across, size=8),
                "y": up.values,
                "mode": "lines+markers" if bounded else "markers",
                "line": {"shape": steps, "color": mark.colour, "width": 1.5},
                "legendgroup": mark.name,
                "error_y": errors(up, mark.colour),
            }


def _lines(comparison: TwoStudies, scopes: Sequence[FrontScope]) -> go.Figure:
    """The figure for a single objective: a line per scenario."""
    traces = []
    for mark in (A, B):
        sides = [(scope, scope.a if mark is A else scope.b) for scope in scopes]
        points = [(scope, point) for scope, side in sides for point in side.front]
        ends = estimates([point for _, point in points], 0)
        names = [label_lines(scope_label(scope)) for scope, _ in points]
        traces.append({**_points(mark, [p for _, p in points], ends, size=9), "y": names})
    return theme.plot(
        x=title(comparison.objectives[0].metric),
        y="",
        height=AROUND + 40 * len(scopes),
        traces=traces,
        yaxis={"type": "category", "autorange": "reversed"},
        meta={"log_switch": ["x"]},
        margin={"t": 56},
    )


def _points(mark: StudyMark, points: Sequence[FrontPoint], across: Series, *, size: int) -> Trace:
    return {
        "type": "scatter",
        "x": across.values,
        "mode": "markers",
        "name": mark.name,
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": size},
        "error_x": errors(across, mark.colour),
        "customdata": _hover(points),
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}"
        f"<extra>{mark.name}</extra>",
    }


def _hover(points: Sequence[FrontPoint]) -> list[list[str]]:
    return [
        [
            theme.plotly_text(str(p.configuration)),
            ", ".join(map(interval, p.estimates)),
            theme.plotly_text(_beaten(p.beaten_by)),
        ]
        for p in points
    ]


def _beaten(by: Configuration | None) -> str:
    return "" if by is None else f"clearly dominated by the other's {by}"


def _front_table(comparison: TwoStudies) -> Table:
    rows = [
        (scope_label(scope), name, str(point.configuration), *map(interval, point.estimates),
         "-" if point.beaten_by is None else str(point.beaten_by))
        for scope in comparison.scopes
        for name, side in (("A", scope.a), ("B", scope.b))
        for point in side.front
    ]  # fmt: skip
    metrics = (title(o.metric) for o in comparison.objectives)
    return Table(
        ("scenario", "study", "configuration", *metrics, "clearly dominated by the other's"),
        tuple(rows),
        "The points of both fronts, with 95 % intervals",
    )
