"""How a configuration is drawn and listed, the same in every figure of fronts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Cell, Link
from tuner.pages.panels import light
from tuner.pages.theme import Trace
from tuner.results.in_words import listed
from tuner.results.places import Place, PlacedConfiguration
from tuner.results.predicted_front import Predicted
from tuner.results.wording import bare, chance, column, interval, plain
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration

MOST_INTERVALS = 150
"""Of so many configurations away from the front each has its error bars; of more, none has."""


@dataclass(frozen=True)
class Mark:
    """What stands for a kind of configuration: Plotly's symbol, `size` in pixels."""

    label: str
    colour: str
    symbol: str
    size: int


MARKS: dict[Place, Mark] = {
    "infeasible": Mark("breaks a constraint", theme.INFEASIBLE, theme.SYMBOLS["infeasible"], 8),
    "invalid": Mark("INVALID", theme.INFEASIBLE, "asterisk-open", 9),
    "cut short": Mark("cut short", theme.DOMINATED, "triangle-down-open", 8),
    "unstable": Mark("unstable", theme.DOMINATED, "hourglass-open", 9),
    "dominated": Mark("dominated", theme.DOMINATED, theme.SYMBOLS["dominated"], 7),
    "front": Mark("front", theme.FRONT, theme.SYMBOLS["front"], 9),
}
"""In the order of drawing: what matters most comes last, and on top."""

BASELINE = Mark("baseline", theme.BASELINE, theme.SYMBOLS["baseline"] + "-open", 15)
RECOMMENDED = Mark("recommended", theme.RECOMMENDED, theme.SYMBOLS["recommended"] + "-open", 17)
PREDICTED = Mark("predicted front", theme.PREDICTED, theme.SYMBOLS["predicted"], 9)


@dataclass(frozen=True)
class Drawn:
    """What a mark stands for: the texts that show when it is pointed at, as `hover` names them."""

    estimates: tuple[Estimate, ...]
    texts: tuple[str, ...]
    trial: int = 0


def of_point(study: StudyRecord, point: PlacedConfiguration) -> Drawn:
    """A configuration as measured; some of its trials' numbers stand above its values."""
    head = f"trial{'s' if len(point.trials) > 1 else ''} {listed(point.trials, 6)}"
    return Drawn(
        point.estimates,
        _texts(study, head, point.configuration, point.estimates, point.note),
        point.trial,
    )


def of_prediction(study: StudyRecord, prediction: Predicted) -> Drawn:
    """A predicted configuration, with the probability that it is on the front."""
    estimates = predicted_estimates(prediction)
    note = f"{chance(prediction.on_front)} that it is on the front"
    return Drawn(estimates, _texts(study, "predicted", prediction.configuration, estimates, note))


def predicted_estimates(prediction: Predicted) -> tuple[Estimate, ...]:
    """The objectives as the model predicts them."""
    return tuple(map(Estimate, prediction.values, prediction.low, prediction.high))


def _texts(
    study: StudyRecord,
    head: str,
    configuration: Configuration,
    estimates: Sequence[Estimate],
    note: str,
) -> tuple[str, ...]:
    values = map(theme.plotly_text, values_of(study, configuration))
    return head, *values, *map(interval, estimates), theme.plotly_text(note)


def hover(study: StudyRecord, label: str) -> str:
    """Names what `_texts` holds: written once per kind of mark, not once per mark."""
    names = [
        f"{theme.plotly_text(p.name)} %{{customdata[{i}]}}"
        for i, p in enumerate(study.search_space, start=1)
    ]
    at = 1 + len(names)
    objectives = [
        f"{METRICS[o.metric].label} %{{customdata[{i}]}} {METRICS[o.metric].unit}"
        for i, o in enumerate(study.objectives, start=at)
    ]
    lines = [f"<b>%{{customdata[0]}}</b>: {label}", *names, *objectives]
    return "<br>".join((*lines, f"%{{customdata[{at + len(objectives)}]}}<extra></extra>"))


def marks(
    study: StudyRecord,
    mark: Mark,
    drawn: Sequence[Drawn],
    pair: tuple[int | None, int],
    *,
    bars: bool = True,
    scale: float = 1.0,
) -> Trace:
    """One trace that draws the objectives `pair` of `drawn`.

    Where the first of `pair` is None, the x axis is the trial number. `bars` adds 95 % intervals.
    `scale` multiplies the size of the marks.
    """
    across, up = pair
    x = [d.trial if across is None else d.estimates[across].value for d in drawn]
    trace: Trace = {
        "type": "scatter",
        "x": light(np.array(x)),
        "y": light(np.array([d.estimates[up].value for d in drawn])),
        "mode": "markers",
        "name": mark.label,
        "legendgroup": mark.label,
        "marker": {
            "color": mark.colour,
            "symbol": mark.symbol,
            "size": scale * mark.size,
            "line": {"width": 2 if mark.symbol.endswith("-open") else 0, "color": mark.colour},
        },
        "customdata": [d.texts for d in drawn],
        "hovertemplate": hover(study, mark.label),
    }
    if bars and across is not None:
        trace["error_x"] = error(mark, [d.estimates[across] for d in drawn])
    if bars:
        trace["error_y"] = error(mark, [d.estimates[up] for d in drawn])
    return trace


def edge(bounds: Sequence[PlacedConfiguration], pair: tuple[int, int]) -> Trace:
    """The line that bounds what a front dominates, from point to point (`boundary`)."""
    across, up = pair
    return {
        "type": "scatter",
        "x": [p.values[across] for p in bounds],
        "y": [p.values[up] for p in bounds],
        "mode": "lines",
        "line": {"shape": "hv", "color": theme.FRONT, "width": 1.5},
        "name": MARKS["front"].label,
        "legendgroup": MARKS["front"].label,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def error(mark: Mark, estimates: Sequence[Estimate]) -> dict[str, object]:
    """Plotly's error bars. Where an interval is unknown, its length is 0."""
    return {
        "type": "data",
        "symmetric": False,
        "array": light(np.array([0.0 if e.high is None else e.high - e.value for e in estimates])),
        "arrayminus": light(
            np.array([0.0 if e.low is None else e.value - e.low for e in estimates])
        ),
        "color": theme.band(mark.colour, 0.55),
        "thickness": 1.2,
        "width": 0,
    }


def values_of(
    study: StudyRecord,
    configuration: Configuration,
    *,
    units: bool = True,
    among: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """The value of each parameter, or of those `among` only; a dash where it is inactive."""
    return tuple(
        "-"
        if p.name not in configuration
        else bare(p, configuration[p.name])
        if units
        else plain(configuration[p.name])
        for p in study.search_space
        if among is None or p.name in among
    )


def columns_of(study: StudyRecord, *, among: Sequence[str] | None = None) -> tuple[str, ...]:
    """The columns of such values without units."""
    return tuple(column(p) for p in study.search_space if among is None or p.name in among)


def foldable(columns: Sequence[str], first: int) -> tuple[int, ...]:
    """The indices of parameters' columns in a table, of which `first` is the first one's."""
    return tuple(range(first, first + len(columns)))


def trial_link(trial: int) -> Cell:
    """To the trial's own page, where there is one."""
    return Link(str(trial), f"trial-{trial}")
