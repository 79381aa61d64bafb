"""A trial's burst drawn in the order of time, and what each replica had of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tuner.reading.wording import figure as number
from tuner.report import theme
from tuner.report.data.burst import OverTime, Part
from tuner.report.page import Figure, Table
from tuner.report.panels import light, line, panels, scale
from tuner.report.trial_tables import replica_table

_TIME = "response time (ms)"


def over_time(trial: int, of: OverTime) -> Figure:
    """Response time and throughput while the burst went on."""
    seconds = "time since the first request (s)"
    plot = panels([(seconds, _TIME), (seconds, "requests/s")], shared=True)
    dots = {"size": 4, "color": theme.FRONT, "opacity": 0.5}
    for values, label, symbol in (
        (of.most, "slowest", "triangle-up"),
        (of.least, "quickest", "triangle-down"),
    ):
        marker = {**dots, "symbol": symbol}
        trace = go.Scatter(x=light(of.middle), y=light(values), mode="markers", marker=marker)
        plot.add_trace(trace.update(name=label, hovertemplate=f"{label} %{{y:.3g}} ms"), 1, 1)
    for values, label, dash in ((of.p95, "p95", "dot"), (of.median, "median", "solid")):
        style = {"color": theme.FRONT, "dash": dash}
        trace = line(of.middle, values, label, style, f"{label} %{{y:.3g}} ms")
        # Spans may stand alone, between others without a request.
        trace.update(mode="lines+markers", marker={"size": 4})
        plot.add_trace(trace, 1, 1)
    rate = line(of.middle, of.rate, "throughput", {"color": theme.GREEN}, "%{y:.3g} requests/s")
    plot.add_trace(rate, 2, 1)
    failed = np.flatnonzero(of.errors)
    if len(failed):
        marker = {"symbol": "x", "size": 8, "color": theme.INFEASIBLE}
        x, y = light(of.middle[failed]), light(of.errors[failed] / of.span)
        trace = go.Scatter(x=x, y=y, mode="markers", name="failed requests", marker=marker)
        plot.add_trace(trace.update(hovertemplate="%{y:.3g} failed/s"), 2, 1)
    plot.update_layout(shapes=_window(of), meta={"log_switch": ["y"]})
    plot.update_yaxes(type=scale([of.least, of.most]), row=1, col=1)
    plot.update_yaxes(type="linear", rangemode="tozero", row=2, col=1)
    return Figure(
        f"trial-{trial}-time",
        "The burst over time",
        f"Requests by when they completed, in spans of {of.span:.2g} s: median, p95 and the"
        " extremes of the successful ones, and how many there were a second. The shaded part on the"
        " left is the warm-up; dotted lines mark the measured window.",
        plot,
        _time_table(of),
    )


def _window(of: OverTime) -> list[dict[str, Any]]:
    start, end = of.window
    shapes: list[dict[str, Any]] = []
    for panel in ("", "2"):
        on = {"xref": f"x{panel}", "yref": f"y{panel} domain", "y0": 0, "y1": 1, "layer": "below"}
        fill = theme.band(theme.PHASES["warm-up"], 0.3)
        shapes.append(
            {"type": "rect", "x0": 0, "x1": start, "fillcolor": fill, "line_width": 0, **on}
        )
        style = {"dash": "dot", "width": 1.5, "color": theme.GREY}
        shapes += [{"type": "line", "x0": x, "x1": x, "line": style, **on} for x in (start, end)]
    return shapes


def _time_table(of: OverTime) -> Table:
    """The same in ten spans: the median of medians, and the extremes."""
    rows = []
    for part in np.array_split(np.arange(len(of.middle)), min(10, len(of.middle))):
        some = part[np.isfinite(of.median[part])]
        ends = (of.middle[part[0]] - of.span / 2, of.middle[part[-1]] + of.span / 2)
        levels = (
            (np.median(of.median[some]), np.median(of.p95[some]), of.most[some].max())
            if len(some)
            else ()
        )
        rows.append(
            (
                f"{ends[0]:.1f} to {ends[1]:.1f}",
                *(number(float(v)) for v in levels),
                *("-" for _ in range(3 - len(levels))),
                number(float(of.rate[part].mean())),
                f"{int(of.errors[part].sum()):,}",
            )
        )
    columns = "time (s)", "median (ms)", "p95 (ms)", "slowest (ms)", "requests/s", "failed"
    start, end = of.window
    caption = (
        f"Measured window from {start:.2f} to {end:.2f} s. Median and p95: median of the spans'."
    )
    return Table(columns, tuple(rows), caption)


def replicas(trial: int, of: Sequence[Part]) -> Figure:
    """Whether requests and CPU time were spread evenly."""
    plot = panels([("", "share (%)"), ("", _TIME)])
    names = [f"replica {part.replica}" for part in of]
    colours = [theme.SERIES[part.replica % len(theme.SERIES)] for part in of]
    for label, shares, shape in (
        ("requests", [part.request_share for part in of], ""),
        ("CPU time", [part.cpu_share for part in of], "/"),
    ):
        y = [None if share is None else 100 * share for share in shares]
        marker = {"color": colours, "pattern": {"shape": shape}}
        bars = go.Bar(x=names, y=y, name=label, marker=marker, hovertemplate="%{y:.1f} %")
        plot.add_trace(bars, 1, 1)
    art = [part.metrics.get("art_ms") for part in of]
    hover = "ART %{y:.3g} ms"
    plot.add_trace(
        go.Bar(x=names, y=art, marker_color=colours, showlegend=False, hovertemplate=hover), 2, 1
    )
    plot.update_yaxes(title="ART (ms)", row=2, col=1)
    return Figure(
        f"trial-{trial}-replicas",
        "Balance of the replicas",
        "Each replica's share of the window's requests (plain) and of the replicas' CPU time"
        " (hatched), and below the ART of its requests.",
        plot,
        replica_table(of),
    )
