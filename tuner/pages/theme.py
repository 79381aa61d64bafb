"""The same colour and mark for the same thing on every figure, and what all figures share.

Colours are Okabe and Ito's ("Color Universal Design", 2008), which people with any common kind of
colour blindness tell apart. Marks differ too, so that no figure depends on colour alone.
Backgrounds are transparent and texts have no colour here: the page sets them for light, dark and
print.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#8C8C8C",
)

FRONT, DOMINATED, INFEASIBLE, BASELINE, RECOMMENDED, PREDICTED = (
    BLUE,
    GREY,
    VERMILION,
    ORANGE,
    GREEN,
    PURPLE,
)
"""Kinds of trials, and what a model says in place of a measurement."""

SYMBOLS = {
    "front": "circle",
    "dominated": "circle-open",
    "infeasible": "x",
    "baseline": "diamond",
    "recommended": "star",
    "predicted": "square-open",
}

OBJECTIVES = (BLUE, ORANGE, GREEN, PURPLE)
"""Of a study's objectives, in its order."""

SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, GREY)
"""Of what has no meaning of its own: replicas, levels of a parameter."""

PHASES = {
    "deploy": SKY,
    "impair": PURPLE,
    "warm-up": YELLOW,
    "measure": BLUE,
    "tear down": GREY,
    "other": VERMILION,
}


Trace = dict[str, Any]
"""One thing that is drawn, as Plotly takes it: its `type`, and the rest by name."""

_LAYOUT: Mapping[str, Any] = {
    "template": "none",
    "margin": {"l": 64, "r": 16, "t": 16, "b": 56},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "hoverlabel": {"align": "left"},
    "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
}


def band(colour: str, opacity: float = 0.2) -> str:
    """`colour` (#RRGGBB) as a transparent fill."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def plot(
    *, x: str, y: str, height: int = 420, traces: Iterable[Trace] = (), **layout: object
) -> go.Figure:
    """`traces` on axes that say what they are, with the unit; `layout` stands over that of all.

    Raises ValueError for what Plotly does not know.
    """
    axes = {"xaxis": axis(x), "yaxis": axis(y)}
    return drawing(traces, {"height": height, **axes}, layout)


def axis(title: str, **more: object) -> dict[str, Any]:
    """A layout's axis; `more` is what else Plotly is told of it."""
    return {"title": {"text": title}, "automargin": True, **more}


def drawing(traces: Iterable[Trace], *layouts: Mapping[str, Any]) -> go.Figure:
    """A figure in the looks of all; what a layout says stands over those before it.

    In one step: each update of a figure takes Plotly some milliseconds, and a page has hundreds.
    """
    from plotly.graph_objects import Figure

    layout: Mapping[str, Any] = reduce(_over, layouts, _LAYOUT)
    return Figure(data=list(traces), layout=layout)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `above` where they differ; mappings within them likewise."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            both[name] = _over(below[name], above[name])
    return both


def plotly_text(text: str) -> str:
    """`text` as it is, where Plotly would take parts of it for markup: names, titles, hover texts.

    What a page or an image is made of needs this only for markup that Plotly is allowed elsewhere
    (`tuner.render.inert`), so that a name such as `<b>` is read as it was written.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
