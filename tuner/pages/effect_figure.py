"""The figure of one parameter: measured points beside the model's lines, a panel per objective."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats, Indices
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages import theme
from tuner.pages.axis_ticks import decades
from tuner.pages.panels import Panel, light, panels
from tuner.pages.theme import Trace
from tuner.results.dependence import Curve
from tuner.results.explain import Explanation
from tuner.results.levels import Level, position, scenario_levels
from tuner.results.wording import label, plain
from tuner.spec.metrics import METRICS, title
from tuner.spec.space import Parameter, SearchSpace, Value

if TYPE_CHECKING:
    import plotly.graph_objects as go


FIRST = ("concurrency", "replicas", "cpu", "memory", "loss")
"""Parameters that come before any other, in this order."""

_SPREAD = 8.0
"""An axis is logarithmic where its largest number is so many times the smallest, or more."""


@dataclass(frozen=True, eq=False)
class EffectPoints:
    """Feasible trials that were measured in full, shape (n,); `measured`, shape (n, m), has the
    objectives in their units. `x` is where they are on the parameter's axis, `level` the index of
    the level they belong to.
    """

    x: Floats
    measured: Floats
    level: Indices
    trial: Indices


@dataclass(frozen=True, eq=False)
class ObjectiveCurves:
    """One objective: `curve` over all scenarios, and one curve for each of some levels.

    `fixed` are the other scenario parameters' values behind the latter.
    """

    metric: str
    curve: Curve | None
    by_level: tuple[tuple[Level, Curve], ...]
    fixed: Mapping[str, Value]
    log: bool


@dataclass(frozen=True, eq=False)
class Dependence:
    """How all objectives depend on one parameter.

    `values` are the axis' marks: all values of the parameter, or those that the model was asked
    about. Points are told apart by `levels` of the scenario parameter `by` (none for ""). At
    `infeasible_x` so many trials (`infeasible`) were not feasible. `absent` trials have no value.
    """

    parameter: Parameter
    values: tuple[Value, ...]
    log: bool
    by: str
    levels: tuple[Level, ...]
    points: EffectPoints
    infeasible_x: Floats
    infeasible: Indices
    absent: int
    panels: tuple[ObjectiveCurves, ...]

    def place(self, value: Value) -> float:
        """Where a value is on the axis: a category at its position."""
        return position(self.parameter, value)


def dependences(record: StudyRecord, explanation: Explanation) -> tuple[Dependence, ...]:
    """Of every parameter that has several values, those of `FIRST` first."""
    return tuple(
        _dependence(record, explanation, p)
        for p in ordered(record.search_space)
        if len(p.values() or (0, 1)) > 1
    )


def ordered(space: SearchSpace) -> tuple[Parameter, ...]:
    """The parameters in the order in which they are reported."""
    names = [p.name for p in space]
    first = [space[name] for name in FIRST if name in names]
    return (*first, *(p for p in space if p not in first))


def _dependence(record: StudyRecord, explanation: Explanation, p: Parameter) -> Dependence:
    trials = [t for t in record.trials if p.name in t.configuration]
    values = _values(p, explanation, trials)
    by = _by(record, explanation, p)
    among, level_of = scenario_levels(record, by)
    shown = [t for t in trials if t.eligible]
    points = EffectPoints(
        np.array([position(p, t.configuration[p.name]) for t in shown], dtype=np.float64),
        np.array([t.values for t in shown], dtype=np.float64).reshape(
            len(shown), len(record.objectives)
        ),
        np.array([level_of(t) for t in shown], dtype=np.intp),
        np.array([t.number for t in shown], dtype=np.intp),
    )
    at, counts = np.unique(
        [_mark(p, values, t.configuration[p.name]) for t in trials if not t.feasible],
        return_counts=True,
    )
    panels = tuple(
        _curves(record, explanation, p, by, among, m, points.measured[:, i])
        for i, m in enumerate(o.metric for o in record.objectives)
    )
    return Dependence(
        p,
        values,
        _log(p, values),
        by,
        among,
        points,
        np.asarray(at, dtype=np.float64),
        counts,
        len(record.trials) - len(trials),
        panels,
    )


def _values(
    p: Parameter, explanation: Explanation, trials: Sequence[TrialRecord]
) -> tuple[Value, ...]:
    listed = p.values()
    if listed is not None:
        return listed
    estimated = next((c.values for c in explanation.curves if c.parameter == p.name), None)
    return estimated or tuple(sorted({t.configuration[p.name] for t in trials}))


def _mark(p: Parameter, values: Sequence[Value], value: Value) -> float:
    """Where a trial is counted: at its value, or the nearest mark of a continuum."""
    place = position(p, value)
    if p.values() is not None:
        return place
    return min((float(v) for v in values), key=lambda v: abs(v - place))


def _log(p: Parameter, values: Sequence[Value]) -> bool:
    if not p.ordered:
        return False
    numbers = [float(v) for v in values]
    if not numbers or min(numbers) <= 0:
        return False
    return p.log or max(numbers) >= _SPREAD * min(numbers)


def _by(record: StudyRecord, explanation: Explanation, p: Parameter) -> str:
    """The scenario parameter, other than `p`, that changes the objectives most."""
    names = [
        s.name
        for s in record.search_space.with_role("scenario")
        if s.name != p.name
        and len({t.configuration[s.name] for t in record.trials if s.name in t.configuration}) > 1
    ]
    totals = dict.fromkeys(names, 0.0)
    for i in explanation.importances:
        if i.parameter in totals:
            totals[i.parameter] = max(totals[i.parameter], i.total.value)
    return max(names, key=lambda name: totals[name], default="")


def _curves(
    record: StudyRecord,
    explanation: Explanation,
    p: Parameter,
    by: str,
    among: Sequence[Level],
    metric: str,
    measured: Floats,
) -> ObjectiveCurves:
    curve = next(
        (c for c in explanation.curves if (c.parameter, c.metric) == (p.name, metric)), None
    )
    scenario_curves = [
        c for c in explanation.scenario_curves if (c.parameter, c.metric) == (p.name, metric)
    ]
    fixed = _usual(record.search_space, by, scenario_curves)
    by_level = tuple(
        (level, c)
        for level in among
        if level.value is not None
        for c in scenario_curves
        if dict(c.scenario) == {**fixed, by: level.value}
    )
    numbers = np.concatenate([measured, *(_numbers(c) for c in (curve,) if c is not None)])
    log = bool(numbers.size and numbers.min() > 0 and numbers.max() >= _SPREAD * numbers.min())
    return ObjectiveCurves(metric, curve, by_level, fixed, log)


def _usual(space: SearchSpace, by: str, curves: Sequence[Curve]) -> dict[str, Value]:
    """The scenario parameters other than `by`, each at the level nearest to its default."""
    fixed: dict[str, Value] = {}
    for name in {n: None for c in curves for n in c.scenario if n != by}:
        p = space[name]
        levels = list(dict.fromkeys(c.scenario[name] for c in curves))
        default = position(p, p.default)
        fixed[name] = min(levels, key=lambda v: abs(position(p, v) - default))
    return fixed


def _numbers(curve: Curve) -> Floats:
    return np.array([v for v in (*curve.typical.low, *curve.typical.high) if v is not None])


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


def effect_drawing(dependence: Dependence) -> go.Figure:
    """A panel per objective, in order. All share the axis of the parameter's values."""
    p = dependence.parameter
    name = theme.plotly_text(p.name)
    if p.name in TITLES:
        name = TITLES[p.name][0].upper() + TITLES[p.name][1:]
    across = f"{name} ({theme.plotly_text(p.unit)})" if p.unit else name
    crossed = len(dependence.infeasible) > 0
    xaxis = {"zeroline": False, **_marks(dependence)}
    above = len(dependence.panels) + 1
    edge = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    return panels(
        [
            Panel(
                across,
                title(panel.metric),
                [*_panel(dependence, i)],
                xaxis,
                {
                    "zeroline": False,
                    **_scale(
                        _shown_numbers(dependence, i), log=panel.log, marked=crossed and i == 0
                    ),
                },
            )
            for i, panel in enumerate(dependence.panels)
        ],
        shared=True,
        traces=[_crosses(dependence, f"y{above}")] if crossed else [],
        **({f"yaxis{above}": edge} if crossed else {}),
    )


def _shown_numbers(dependence: Dependence, index: int) -> Floats:
    """All numbers that a panel shows: measured values and the ends of intervals."""
    panel = dependence.panels[index]
    shown = [c.typical for c in (panel.curve, *(c for _, c in panel.by_level)) if c is not None]
    ends = [v for b in shown for v in (*b.value, *b.low, *b.high) if v is not None]
    return np.array([*dependence.points.measured[:, index], *ends], dtype=np.float64)


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


def _marks(dependence: Dependence) -> dict[str, object]:
    """The parameter's axis. It has a tick at each value where there are few."""
    p = dependence.parameter
    places = [dependence.place(v) for v in dependence.values]
    marks: dict[str, object] = {"type": "log"} if dependence.log else {}
    if not p.ordered:
        marks["range"] = [-0.5, len(p.choices or ()) - 0.5]
    if p.values() is None:
        return decades(places[0], places[-1]) if dependence.log else marks
    if len(places) <= _MOST_MARKS:
        marks |= {
            "tickvals": places,
            "ticktext": [theme.plotly_text(plain(v)) for v in dependence.values],
        }
    return marks


def _panel(dependence: Dependence, index: int) -> Iterator[Trace]:
    """The points and the line of each level, then the model's estimate over all levels."""
    panel = dependence.panels[index]
    colours = _level_colours(len(dependence.panels))
    unit = METRICS[panel.metric].unit
    for k in range(max(1, len(dependence.levels))):
        level = dependence.levels[k] if dependence.levels else None
        text = level.text if level is not None else "trials"
        colour = colours[k % len(colours)]
        here = dependence.points.level == k
        curve = next((c for each, c in panel.by_level if each == level), None)
        if curve is not None and dependence.parameter.ordered:
            line = {"color": colour, "dash": "dot", "width": 2}
            yield _line(dependence, curve, text, line)
        yield {
            "type": "scatter",
            "x": light(_spread(dependence, here)),
            "y": light(dependence.points.measured[here, index]),
            "customdata": dependence.points.trial[here],
            "mode": "markers",
            "marker": {"color": colour, "symbol": _SYMBOLS[k % len(_SYMBOLS)], "size": 7},
            "opacity": 0.75,
            "name": theme.plotly_text(text),
            "legendgroup": f"level {k}",
            "showlegend": index == 0 and bool(here.any()),
            "hovertemplate": f"trial %{{customdata}}: %{{y:.3g}} {unit}<extra></extra>",
        }
    if panel.curve is not None:
        yield from _model(dependence, index, panel.curve)


def _model(dependence: Dependence, index: int, curve: Curve) -> Iterator[Trace]:
    """The model's estimate over all scenarios.

    Categories have no order, so they get points with error bars in place of a line and a band.
    """
    colour = theme.OBJECTIVES[index % len(theme.OBJECTIVES)]
    name = f"{label(curve.metric)}, model"
    line = _line(dependence, curve, name, {"color": colour, "width": 2}, size=7)
    line["showlegend"] = True
    places, value, low, high = _places(dependence, curve)
    if dependence.parameter.ordered:
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
    dependence: Dependence, curve: Curve, name: str, line: Mapping[str, Any], size: int = 4
) -> Trace:
    places, value, low, high = _places(dependence, curve)
    unit = METRICS[curve.metric].unit
    return {
        "type": "scatter",
        "x": places,
        "y": value,
        "customdata": [list(pair) for pair in zip(low, high, strict=True)],
        "mode": "lines+markers",
        "marker": {"size": size, "color": line["color"]},
        "line": line,
        "name": theme.plotly_text(name),
        "legendgroup": name,
        "showlegend": False,
        "hovertemplate": (
            f"{theme.plotly_text(name)}: %{{y:.3g}}"
            " (%{customdata[0]:.3g}-%{customdata[1]:.3g})"
            f" {unit}<extra></extra>"
        ),
    }


def _places(dependence: Dependence, curve: Curve) -> tuple[list[float], ...]:
    """Columns for the values that have an estimate: place, estimate, lower and upper end."""
    rows = [(dependence.place(v), *numbers) for v, numbers in curve.known.items()]
    return tuple(list(column) for column in zip(*rows, strict=True))


def _crosses(dependence: Dependence, yaxis: str) -> Trace:
    """The counts of infeasible trials, as crosses at the upper edge of the first panel."""
    return {
        "type": "scatter",
        "x": dependence.infeasible_x,
        "y": np.full(len(dependence.infeasible), 1 - _HEADROOM / 3),
        "text": [str(n) for n in dependence.infeasible],
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


def _spread(dependence: Dependence, here: npt.NDArray[np.bool_]) -> Floats:
    """The horizontal places of the points.

    Points of one category are spread beside each other, by trial number, so always the same way.
    """
    x = dependence.points.x[here]
    if dependence.parameter.ordered:
        return x
    golden = (dependence.points.trial[here] * 0.6180339887) % 1.0
    spread: Floats = x + 0.5 * (golden - 0.5)
    return spread
