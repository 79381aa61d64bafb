"""The figure of how much each parameter matters."""

from __future__ import annotations

import plotly.graph_objects as go

from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.data.importances import Importances, Noise
from tuner.results.importance import Share
from tuner.results.wording import label

_NOISE = "noise between bursts"

_BAR, _AROUND = 26, 150
"""Pixels: for a bar, around them all."""


def importance_figure(found: Importances) -> Figure:
    """Bars of the total index with the first-order one inside, of each objective side by side."""
    names = [*found.parameters, _NOISE]
    height = _BAR * len(names) * len(found.metrics) + _AROUND
    drawing = theme.plot(x="share of variation (%)", y="", height=height)
    # The last bar drawn is the upper one.
    for k, metric in reversed(list(enumerate(found.metrics))):
        _bars(drawing, found, metric, theme.OBJECTIVES[k % len(theme.OBJECTIVES)])
    shown = [theme.plain(name) for name in reversed(names)]
    drawing.update_layout(barmode="group", bargap=0.3, margin_t=64, legend_traceorder="reversed")
    drawing.update_yaxes(categoryorder="array", categoryarray=shown, title="")
    drawing.update_xaxes(rangemode="tozero")
    return Figure("importances", "How much each parameter matters", _caption(found), drawing,
                  _table(found))  # fmt: skip


def _bars(drawing: go.Figure, found: Importances, metric: str, colour: str) -> None:
    some = [found.by_parameter.get((name, metric)) for name in found.parameters]
    names = [theme.plain(i.parameter) for i in some if i is not None]
    parts = (
        ("with others", [i.total for i in some if i is not None], theme.band(colour, 0.35)),
        ("alone", [i.first for i in some if i is not None], colour),
    )
    for part, shares, fill in parts:
        drawing.add_bar(
            orientation="h",
            y=names,
            x=[100 * s.value for s in shares],
            error_x={
                "type": "data",
                "array": [100 * (s.high - s.value) for s in shares],
                "arrayminus": [100 * (s.value - s.low) for s in shares],
                "color": theme.GREY,
                "thickness": 1.5,
                "width": 3,
            },
            name=f"{label(metric)}, {part}",
            offsetgroup=metric,
            marker_color=fill,
            hovertemplate=f"%{{y}}: %{{x:.1f}} %<extra>{label(metric)}, {part}</extra>",
        )
    noise = next(n for n in found.noise if n.metric == metric)
    if noise.share is not None:
        drawing.add_bar(
            orientation="h",
            y=[_NOISE],
            x=[100 * noise.share],
            name=f"{label(metric)}, noise",
            offsetgroup=metric,
            marker={"color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 2}},
            showlegend=False,
            hovertemplate=f"{_NOISE}: %{{x:.1f}} %<extra>{label(metric)}</extra>",
        )


def _caption(found: Importances) -> str:
    text = (
        "Shares of the variance of each objective's logarithm over all configurations that can be"
        " expected to serve: of a parameter alone (first-order Sobol index) and with what it does"
        " together with others (total index), with 95 % intervals. Noise: what differs between"
        " bursts of one configuration, as a share of the variance of what was measured"
    )
    known = [n for n in found.noise if n.relative_sd is not None]
    if known:
        said = " and ".join(
            f"{100 * (n.relative_sd or 0):.1f} % in {label(n.metric)}" for n in known
        )
        return f"{text}; a burst is off by {said} (standard deviation)."
    return f"{text}; at least, as too few configurations were repeated."


def _table(found: Importances) -> Table:
    rows = [
        (name, label(metric), share(i.first), share(i.total), _best(i.best))
        for name in found.parameters
        for metric in found.metrics
        if (i := found.by_parameter.get((name, metric))) is not None
    ]
    rows += [(_NOISE, label(n.metric), _noise(n), "-", "-") for n in found.noise]
    return Table(
        ("Parameter", "Objective", "Alone", "With others", "Among the best tenth (PED-ANOVA)"),
        tuple(rows),
    )


def _noise(found: Noise) -> str:
    if found.share is None:
        return "-"
    return f"{'' if found.relative_sd is not None else 'at least '}{100 * found.share:.1f} %"


def _best(share_of: float | None) -> str:
    return "-" if share_of is None else f"{100 * share_of:.0f} %"


def share(found: Share) -> str:
    """`49 % (45 to 54)`."""
    digits = 0 if found.value >= 0.0095 else 1
    value, low, high = (f"{100 * x:.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{value} % ({low} to {high})"
