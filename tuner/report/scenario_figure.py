"""The fronts of the scenarios, one small panel each, all with the same axes.

The panels stand two beside each other and not more: so they can be compared along both axes, and
are still about 150 pixels wide on a phone. Every panel in a figure of its own would have axes of
its own, and one below another can be compared along one axis only.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go

from tuner.reading.wording import interval
from tuner.report import theme
from tuner.report.data.fronts import Point, boundary
from tuner.report.data.scenarios import Panel, shown
from tuner.report.marks import (
    BASELINE,
    MARKS,
    PREDICTED,
    Drawn,
    Mark,
    columns_of,
    error,
    marks,
    of_point,
    of_prediction,
    predicted,
    trial_link,
    values_of,
)
from tuner.report.page import Figure, Link, Table
from tuner.report.panels import scale
from tuner.report.sources import Sources
from tuner.spec.metrics import title
from tuner.spec.space import Configuration

COLUMNS = 2

_PANEL, _BETWEEN, _AROUND = 168, 44, 132
"""Pixels: a panel's height, between rows of panels, above and below all of them."""
_SCALE = 0.75
"""Of the marks' usual size."""
_TITLE = 24
"""Characters that a line above a panel has room for."""


def scenario_figure(sources: Sources, some: Sequence[Panel]) -> Figure:
    """Of the scenarios with most trials, `MOST_PANELS` at most; the table has all of them."""
    drawn = shown(some)
    single = len(sources.record.objectives) == 1
    plot = _strip(sources, drawn) if single else _panels(sources, drawn)
    said = [
        "What was measured in each scenario, and what the model recommends there: the averages that"
        " many bursts would give, with 95 % intervals."
        if sources.findings is not None
        else "What was measured in each scenario, with 95 % intervals.",
        "" if single else "All panels have the same axes.",
        "The baseline's decision is marked where it was measured.",
    ]
    if len(sources.record.objectives) > 2:
        said.append("Of the objectives the first two are drawn; the table has all.")
    if len(drawn) < len(some):
        said.append(
            f"Drawn are the {len(drawn)} scenarios with most trials, of {len(some)}; the table has"
            " all."
        )
    return Figure(
        "scenario-fronts",
        "The front of each scenario",
        " ".join(filter(None, said)),
        plot,
        _table(sources, some),
    )


def _panels(sources: Sources, drawn: Sequence[Panel]) -> go.Figure:
    study = sources.record
    x, y = (title(o.metric) for o in study.objectives[:2])
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    titles = [_heading(panel.scenario) for panel in drawn]
    between = _BETWEEN + 16 * max(t.count("<br>") for t in titles)
    inner = rows * _PANEL + (rows - 1) * between
    plot = theme.plot(x="", y="", height=inner + _AROUND)
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
    for annotation in plot.layout.annotations[-2:]:
        annotation.font.size = 13
    plot.layout.annotations[-1].xshift = -38
    plot.layout.annotations[-2].yshift = -26
    seen: set[str] = set()
    for number, panel in enumerate(drawn):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        for trace in _traces(sources, panel):
            trace.showlegend = trace.showlegend is not False and trace.name not in seen
            if trace.showlegend:
                seen.add(trace.name)
            plot.add_trace(trace, **at)
    values = _values(drawn)
    for index, update in enumerate((plot.update_xaxes, plot.update_yaxes)):
        known = np.array([v[index] for v in values])
        kind = scale([known]) if (known > 0).all() else "linear"
        update(type=kind, automargin=False, tickfont_size=11, nticks=5, showline=True)
    # What is last in a column may stand above an empty place: it has the axis then.
    for number in range(len(drawn)):
        last = number + columns >= len(drawn)
        plot.update_xaxes(showticklabels=last, row=number // columns + 1, col=number % columns + 1)
    plot.update_layout(
        meta={"log_switch": ["x", "y"]},
        margin={"t": 76, "b": 56, "l": 58},
        legend_y=1 + 30 / inner,
    )
    return plot


def _traces(sources: Sources, panel: Panel) -> Iterator[go.Scatter]:
    study, pair = sources.record, (0, 1)
    edge = boundary(panel.points, study.objectives, pair)
    yield go.Scatter(
        x=[p.values[0] for p in edge],
        y=[p.values[1] for p in edge],
        mode="lines",
        line={"shape": "hv", "color": theme.FRONT, "width": 1.5},
        legendgroup=MARKS["front"].label,
        showlegend=False,
        hoverinfo="skip",
    )
    for mark, some, bars in _marked(sources, panel):
        yield marks(study, mark, some, pair, bars=bars, scale=_SCALE)


def _marked(sources: Sources, panel: Panel) -> Iterator[tuple[Mark, list[Drawn], bool]]:
    """What is drawn of a scenario, with intervals or without."""
    study = sources.record
    for place, mark in MARKS.items():
        if some := [of_point(study, p) for p in panel.points if p.place == place]:
            yield mark, some, place == "front"
    if panel.recommended:
        yield PREDICTED, [of_prediction(study, p) for p in panel.recommended], True
    if panel.baseline is not None:
        yield BASELINE, [of_point(study, panel.baseline)], False


def _strip(sources: Sources, drawn: Sequence[Panel]) -> go.Figure:
    """A single objective: a line per scenario."""
    metric = sources.record.objectives[0].metric
    plot = theme.plot(x=title(metric), y="", height=_AROUND + 34 * len(drawn))
    seen: set[str] = set()
    for panel in drawn:
        for mark, some, bars in _marked(sources, panel):
            trace = marks(sources.record, mark, some, (0, 0), bars=False)
            trace.y = [_heading(panel.scenario)] * len(some)
            if bars:
                trace.error_x = error(mark, [d.estimates[0] for d in some])
            trace.showlegend = mark.label not in seen
            seen.add(mark.label)
            plot.add_trace(trace)
    known = np.array([v[0] for v in _values(drawn)])
    plot.update_xaxes(type=scale([known]) if (known > 0).all() else "linear")
    plot.update_yaxes(type="category", autorange="reversed", ticksuffix=" ")
    plot.update_layout(meta={"log_switch": ["x"]}, margin_t=76)
    return plot


def _values(drawn: Sequence[Panel]) -> list[tuple[float, ...]]:
    measured = [p.values for panel in drawn for p in panel.points]
    return measured + [p.values for panel in drawn for p in panel.recommended]


def _heading(scenario: Configuration) -> str:
    lines = textwrap.wrap(str(scenario), _TITLE, break_long_words=True, break_on_hyphens=False)
    return "<br>".join(map(theme.plain, lines)) or "no scenario parameter"


def _table(sources: Sources, some: Sequence[Panel]) -> Table:
    study = sources.record
    metrics = [title(o.metric) for o in study.objectives]
    model = sources.findings is not None
    columns = [*columns_of(study), "trial", *metrics, "place"]
    if model:
        columns += [*(f"{metric}, predicted" for metric in metrics), "P"]
    rows = [row for panel in some for row in _rows(sources, panel, model=model)]
    return Table(
        tuple(columns),
        tuple(rows),
        "Configurations on a scenario's front, as measured or as the model recommends",
    )


def _rows(sources: Sources, panel: Panel, *, model: bool) -> Iterator[tuple[str | Link, ...]]:
    study, findings = sources.record, sources.findings
    measured = {p.configuration: p for p in panel.points}
    known = {p.configuration: p for p in panel.recommended}
    chosen = dict.fromkeys([*(p.configuration for p in panel.points if p.place == "front"), *known])
    nothing = ("-",) * len(study.objectives)
    for configuration in chosen:
        point = measured.get(configuration)
        one = known.get(configuration) or (findings and findings.predicted(configuration))
        cells: list[str | Link] = [*values_of(study, configuration, units=False)]
        cells += ["-" if point is None else trial_link(point.trial)]
        cells += nothing if point is None else map(interval, point.estimates)
        cells += [_place(point, configuration in known)]
        if model:
            cells += map(interval, predicted(one)) if one else nothing
            cells += [f"{one.on_front:.2f}" if one else "-"]
        yield tuple(cells)


def _place(point: Point | None, recommended: bool) -> str:
    said = [] if point is None else [MARKS[point.place].label]
    return ", ".join(said + (["recommended"] if recommended else []))
