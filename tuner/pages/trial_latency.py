"""How long a trial's requests took, drawn: their distribution, ART and percentiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuner.measure.measurement import Estimate, Measurement
from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.panels import Panel, line, panels, scale
from tuner.pages.theme import Trace
from tuner.results.burst_latency import SHARES, Latency
from tuner.results.wording import figure as number
from tuner.results.wording import interval
from tuner.spec.metrics import METRICS, PERCENTILES

_TIME = "response time (ms)"
_SHOWN = ("art_ms", *PERCENTILES)


def latency(trial: int, own: Latency, reference: Latency | None, name: str) -> Figure:
    """ECDF and histogram, the ECDF of the reference, called `name`, behind."""
    drawn = [] if reference is None else [(reference, name, theme.BASELINE, "dash")]
    shares = [
        line(
            of.at,
            of.share,
            label,
            {"shape": "hv", "color": colour, "dash": dash},
            hovertemplate="%{y:.2%} took at most %{x:.3g} ms",
        )
        for of, label, colour, dash in (*drawn, (own, f"trial {trial}", theme.FRONT, "solid"))
    ]
    steps = np.append(own.bins, own.bins[-1:]).astype(np.float64)
    style = {"shape": "hv", "color": theme.FRONT, "width": 1}
    filled = {"fill": "tozeroy", "fillcolor": theme.band(theme.FRONT, 0.35), "showlegend": False}
    bins = line(own.edges, steps, "requests", style, **filled)
    axes: dict[str, Any] = {
        "xaxis": {"type": "log"},
        "yaxis": {"type": "linear", "rangemode": "tozero"},
    }
    plot = panels(
        [
            Panel(_TIME, "share of requests", shares, **axes),
            Panel(_TIME, "requests", [bins], **axes),
        ],
        shared=True,
        meta={"log_switch": ["x", "y"]},
    )
    behind = f" Dashed: {name}." if reference is not None else ""
    return Figure(
        f"trial-{trial}-latency",
        "Latency distribution",
        f"Above, the share of the window's {own.count:,} successful requests that took at most so"
        f" long; below, how many took how long, in bins equal on a logarithmic axis.{behind}",
        plot,
        Table(
            ("share of requests", f"trial {trial} (ms)", *([name] if reference else [])),
            tuple(
                (f"{100 * share:g} %", *(_took(of, share) for of in (own, reference) if of))
                for share in SHARES
            ),
            "Took at most so many ms",
        ),
    )


def _took(of: Latency, share: float) -> str:
    took = of.took(share)
    return "-" if took is None else number(took)


def percentiles(
    trial: int, own: Measurement, reference: Measurement | None, name: str
) -> Figure | None:
    """ART and percentiles with their intervals; None where nothing is known of them."""
    names = [n for n in _SHOWN if n in own.metrics]
    if not names:
        return None
    drawn = [(own, f"trial {trial}", theme.FRONT, theme.SYMBOLS["front"])]
    if reference is not None:
        drawn.insert(0, (reference, name, theme.BASELINE, theme.SYMBOLS["baseline"]))
    values = [e.value for of, *_ in drawn for n in names if (e := of.metrics.get(n))]
    plot = theme.plot(
        x="",
        y=_TIME,
        height=360,
        traces=[
            _points(of.metrics, names, label, {"color": colour, "symbol": symbol})
            for of, label, colour, symbol in drawn
        ],
        xaxis={"type": "category"},
        yaxis={"type": scale([np.array(values)]), "rangemode": "tozero"},
        scattermode="group",
        scattergap=0.7,
        meta={"log_switch": ["y"]},
    )
    return Figure(
        f"trial-{trial}-percentiles",
        "ART and percentiles",
        "Of the successful requests in the window, with 95 % intervals of this burst alone.",
        plot,
        Table(
            ("metric", *(f"{label} (ms)" for _, label, *_ in reversed(drawn))),
            tuple(
                (METRICS[n].label, *(_stated(of, n) for of, *_ in reversed(drawn))) for n in names
            ),
        ),
    )


def _points(
    metrics: Mapping[str, Estimate], names: Sequence[str], label: str, marker: dict[str, Any]
) -> Trace:
    estimates = [(METRICS[n].label, metrics[n]) for n in names if n in metrics]
    above = [e.value if e.high is None else e.high for _, e in estimates]
    below = [e.value if e.low is None else e.low for _, e in estimates]
    values = [e.value for _, e in estimates]
    return {
        "type": "scatter",
        "x": [text for text, _ in estimates],
        "y": values,
        "error_y": {
            "array": [high - value for high, value in zip(above, values, strict=True)],
            "arrayminus": [value - low for low, value in zip(below, values, strict=True)],
        },
        "mode": "markers",
        "name": label,
        "marker": {"size": 9, **marker},
        "hovertemplate": "%{x}: %{y:.3g} ms",
    }


def _stated(of: Measurement, name: str) -> str:
    return interval(of.metrics[name]) if name in of.metrics else "-"
