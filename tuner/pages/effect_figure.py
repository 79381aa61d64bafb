"""The figure of one parameter: measured points beside the model's lines, a panel per objective."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from tuner.arrays import Floats
from tuner.pages import theme
from tuner.pages.data.effects import Dependence
from tuner.pages.panels import Panel, light, panels
from tuner.pages.theme import Trace
from tuner.pages.ticks import decades
from tuner.results.dependence import Curve
from tuner.results.wording import label, plain
from tuner.spec.metrics import METRICS, title

TITLES = {
    "concurrency": "request concurrency",
    "replicas": "containers (replicas)",
    "cpu": "CPU capacity of each replica",
    "memory": "memory capacity of each replica",
    "loss": "network loss",
}
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross")
_MOST_MARKS = 12

_HEADROOM = 0.14
"""Of a panel's height, where infeasible trials are marked."""


def drawn(found: Dependence) -> go.Figure:
    """Panels in the objectives' order over one axis of the parameter's values."""
    p = found.parameter
    name = theme.plain(p.name)
    if p.name in TITLES:
        name = TITLES[p.name][0].upper() + TITLES[p.name][1:]
    across = f"{name} ({theme.plain(p.unit)})" if p.unit else name
    crossed = len(found.infeasible) > 0
    xaxis = {"zeroline": False, **_marks(found)}
    above = len(found.panels) + 1
    edge = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    return panels(
        [
            Panel(
                across,
                title(panel.metric),
                [*_panel(found, i)],
                xaxis,
                {
                    "zeroline": False,
                    **_scale(_numbers(found, i), log=panel.log, marked=crossed and i == 0),
                },
            )
            for i, panel in enumerate(found.panels)
        ],
        shared=True,
        traces=[_crosses(found, f"y{above}")] if crossed else [],
        **({f"yaxis{above}": edge} if crossed else {}),
    )


def _numbers(found: Dependence, index: int) -> Floats:
    """All that a panel shows."""
    panel = found.panels[index]
    shown = [c.typical for c in (panel.curve, *(c for _, c in panel.by_level)) if c is not None]
    ends = [v for b in shown for v in (*b.value, *b.low, *b.high) if v is not None]
    return np.array([*found.points.measured[:, index], *ends], dtype=np.float64)


def _scale(numbers: Floats, *, log: bool, marked: bool) -> dict[str, object]:
    """Range and marks of a panel's axis, with room at the upper edge where trials are `marked`."""
    if not numbers.size:
        return {"range": [0, 1], "showticklabels": False}
    low, high = float(numbers.min()), float(numbers.max())
    room = _HEADROOM if marked else 0.04
    if not log:
        low = min(low, 0.0)
        return {"range": [low, low + (high - low or 1.0) / (1 - room)]}
    start, end = math.log10(low), math.log10(high)
    span = end - start or 1.0
    upper = end + room * span / (1 - room)
    return {**decades(low, high), "range": [start - 0.04 * span, upper]}


def _marks(found: Dependence) -> dict[str, object]:
    """The parameter's axis, marked at its values where these are few."""
    p = found.parameter
    places = [found.place(v) for v in found.values]
    marks: dict[str, object] = {"type": "log"} if found.log else {}
    if not p.ordered:
        marks["range"] = [-0.5, len(p.choices or ()) - 0.5]
    if p.values() is None:
        return decades(places[0], places[-1]) if found.log else marks
    if len(places) <= _MOST_MARKS:
        marks |= {"tickvals": places, "ticktext": [theme.plain(plain(v)) for v in found.values]}
    return marks


def _panel(found: Dependence, index: int) -> Iterator[Trace]:
    """Points and lines of each level, then the estimate over all."""
    panel = found.panels[index]
    colours = _level_colours(len(found.panels))
    unit = METRICS[panel.metric].unit
    for k in range(max(1, len(found.levels))):
        level = found.levels[k] if found.levels else None
        text = level.text if level is not None else "trials"
        colour = colours[k % len(colours)]
        here = found.points.level == k
        curve = next((c for each, c in panel.by_level if each == level), None)
        if curve is not None and found.parameter.ordered:
            line = {"color": colour, "dash": "dot", "width": 2}
            yield _line(found, curve, text, line)
        yield {
            "type": "scatter",
            "x": light(_spread(found, here)),
            "y": light(found.points.measured[here, index]),
            "customdata": found.points.trial[here],
            "mode": "markers",
            "marker": {"color": colour, "symbol": _SYMBOLS[k % len(_SYMBOLS)], "size": 7},
            "opacity": 0.75,
            "name": theme.plain(text),
            "legendgroup": f"level {k}",
            "showlegend": index == 0 and bool(here.any()),
            "hovertemplate": f"trial %{{customdata}}: %{{y:.3g}} {unit}<extra></extra>",
        }
    if panel.curve is not None:
        yield from _model(found, index, panel.curve)


def _model(found: Dependence, index: int, curve: Curve) -> Iterator[Trace]:
    """The estimate over all scenarios; of categories, which have no order, no line and no band."""
    colour = theme.OBJECTIVES[index % len(theme.OBJECTIVES)]
    name = f"{label(curve.metric)}, model"
    line = _line(found, curve, name, {"color": colour, "width": 2}, size=7)
    line["showlegend"] = True
    places, value, low, high = _places(found, curve)
    if found.parameter.ordered:
        yield {
            "type": "scatter",
            "x": [*places, *reversed(places)],
            "y": [*high, *reversed(low)],
            "fill": "toself",
            "fillcolor": theme.band(colour, 0.3),
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": name,
        }
    else:
        ends = np.array([value, low, high])
        bars = {"array": ends[2] - ends[0], "arrayminus": ends[0] - ends[1], "width": 6}
        line |= {"mode": "markers", "error_y": bars}
    yield line


def _line(
    found: Dependence, curve: Curve, name: str, line: Mapping[str, Any], size: int = 4
) -> Trace:
    places, value, low, high = _places(found, curve)
    unit = METRICS[curve.metric].unit
    return {
        "type": "scatter",
        "x": places,
        "y": value,
        "customdata": [list(pair) for pair in zip(low, high, strict=True)],
        "mode": "lines+markers",
        "marker": {"size": size, "color": line["color"]},
        "line": line,
        "name": theme.plain(name),
        "legendgroup": name,
        "showlegend": False,
        "hovertemplate": (
            f"{theme.plain(name)}: %{{y:.3g}} (%{{customdata[0]:.3g}} to %{{customdata[1]:.3g}})"
            f" {unit}<extra></extra>"
        ),
    }


def _places(found: Dependence, curve: Curve) -> tuple[list[float], ...]:
    """Places of the values that have an estimate, the estimates, and their band's two ends."""
    rows = [(found.place(v), *numbers) for v, numbers in curve.known.items()]
    return tuple(list(column) for column in zip(*rows, strict=True))


def _crosses(found: Dependence, yaxis: str) -> Trace:
    """Infeasible trials at the upper edge of the first panel, which leaves room for them."""
    return {
        "type": "scatter",
        "x": found.infeasible_x,
        "y": np.full(len(found.infeasible), 1 - _HEADROOM / 3),
        "text": [str(n) for n in found.infeasible],
        "mode": "markers+text",
        "textposition": "middle right",
        "marker": {"symbol": theme.SYMBOLS["infeasible"], "color": theme.INFEASIBLE, "size": 8},
        "name": "infeasible",
        "xaxis": "x",
        "yaxis": yaxis,
        "hovertemplate": "%{text} infeasible trials<extra></extra>",
    }


def _level_colours(objectives: int) -> list[str]:
    """Those that stand for nothing else in the figure."""
    taken = {*theme.OBJECTIVES[:objectives], theme.INFEASIBLE}
    return [c for c in theme.SERIES if c not in taken]


def _spread(found: Dependence, here: npt.NDArray[np.bool_]) -> Floats:
    """Where points are drawn: those of a category beside each other, the same each time."""
    x = found.points.x[here]
    if found.parameter.ordered:
        return x
    golden = (found.points.trial[here] * 0.6180339887) % 1.0
    spread: Floats = x + 0.5 * (golden - 0.5)
    return spread
