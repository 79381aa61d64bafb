"""The figure of everything that was measured, with the front."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Figure, Scatter, ScatterSeries, Table
from tuner.pages.marks import (
    BASELINE,
    MARKS,
    MOST_INTERVALS,
    PREDICTED,
    RECOMMENDED,
    columns_of,
    edge,
    foldable,
    marks,
    of_point,
    of_prediction,
    trial_link,
    values_of,
)
from tuner.pages.panels import light, scale
from tuner.pages.sources import Sources
from tuner.pages.theme import Trace
from tuner.results.places import FrontData, Place, PlacedConfiguration, boundary
from tuner.results.wording import interval
from tuner.spec.metrics import METRICS, title

HEIGHT = 520

MOST_LISTED = 400
"""Rows of the table behind the figure, those of the front always."""


def front_figures(sources: Sources, data: FrontData) -> Iterator[Figure]:
    """One figure for each pair of objectives; for a single one, over the trials' numbers."""
    count = len(sources.record.objectives)
    pairs: list[tuple[int | None, int]] = [(None, 0)]
    if count > 1:
        pairs = list(itertools.combinations(range(count), 2))
    for pair in pairs:
        yield _figure(sources, data, pair)


def front_scatter(study: StudyRecord, data: FrontData) -> Iterator[Scatter]:
    """What a terminal draws: the first two objectives; nothing with one, or without a front."""
    if len(study.objectives) < 2 or not data.at("front"):
        return

    def pairs(*places: Place) -> tuple[tuple[float, float], ...]:
        return tuple((p.values[0], p.values[1]) for p in data.points if p.place in places)

    x, y = (title(o.metric) for o in study.objectives[:2])
    others = pairs("dominated", "unstable", "infeasible")
    yield Scatter(
        x,
        y,
        (
            ScatterSeries("others", ".", others, "gray"),
            ScatterSeries("front", "o", pairs("front"), "blue"),
        ),
    )


def _figure(sources: Sources, data: FrontData, pair: tuple[int | None, int]) -> Figure:
    study = sources.record
    across, up = pair
    metrics = [o.metric for o in study.objectives]
    x = "trial" if across is None else title(metrics[across])
    axes = {
        axis: _axis(np.array([p.values[index] for p in data.points]))
        for axis, index in (("xaxis", across), ("yaxis", up))
        if index is not None
    }
    plot = theme.plot(
        x=x,
        y=title(metrics[up]),
        height=HEIGHT,
        traces=_traces(sources, data, pair),
        meta={"log_switch": ["y"] if across is None else ["x", "y"]},
        margin={"t": 72},
        **axes,
    )
    names = [METRICS[metrics[i]].label for i in pair if i is not None]
    slug = "-".join(metrics[i].replace("_", "-") for i in pair if i is not None)
    return Figure(
        "front" if len(metrics) <= 2 else f"front-{slug}",
        " and ".join(names) + " of every configuration",
        _caption(sources, data, pair),
        plot,
        _table(sources, data),
    )


def _axis(values: npt.NDArray[np.float64]) -> dict[str, object]:
    return {"type": scale([values]) if (values > 0).all() else "linear", "nticks": 8}


def _traces(sources: Sources, data: FrontData, pair: tuple[int | None, int]) -> Iterator[Trace]:
    study = sources.record
    across, up = pair
    if data.bursts:
        yield {
            "type": "scatter",
            "x": light(np.array([n if across is None else v[across] for n, v in data.bursts])),
            "y": light(np.array([v[up] for _, v in data.bursts])),
            "mode": "markers",
            "name": "single bursts",
            "marker": {"color": theme.DOMINATED, "size": 3, "opacity": 0.7},
            "customdata": [n for n, _ in data.bursts],
            "hovertemplate": "trial %{customdata}: one burst of several<extra></extra>",
        }
    if across is not None:
        yield edge(boundary(data.points, study.objectives, (across, up)), (across, up))
    away = len(data.points) - len(data.at("front"))
    for place, mark in MARKS.items():
        if points := data.at(place):
            bars = place == "front" or away <= MOST_INTERVALS
            yield marks(study, mark, [of_point(study, p) for p in points], pair, bars=bars)
    baseline = () if data.baseline is None else (data.baseline,)
    for mark, chosen in ((BASELINE, baseline), (RECOMMENDED, data.recommended)):
        if chosen:
            yield marks(study, mark, [of_point(study, p) for p in chosen], pair, bars=False)
    findings = sources.findings
    if findings is not None and not sources.summary.scenarios and across is not None:
        chosen_by_model = [of_prediction(study, p) for p in findings.overall.predicted_front]
        yield marks(study, PREDICTED, chosen_by_model, pair)


def _caption(sources: Sources, data: FrontData, pair: tuple[int | None, int]) -> str:
    front, points = len(data.at("front")), len(data.points)
    verb = "is" if front == 1 else "are"
    said = [f"{front} of {points} measured configurations {verb} on the front."]
    if pair[0] is not None and len(sources.record.objectives) > 2:
        said.append("The line bounds what they dominate in these two objectives alone.")
    elif pair[0] is not None:
        said.append("The line bounds what they dominate.")
    said.append(
        "A mark is a configuration, averaged over its bursts, with 95 % intervals"
        + (
            "."
            if points - front <= MOST_INTERVALS
            else " where it is on the front; the other intervals are in the table."
        )
    )
    if data.unserved:
        count = len(data.unserved)
        said.append(
            f"{count} that could not serve {'has' if count == 1 else 'have'} no place here."
        )
    return " ".join(said)


def _table(sources: Sources, data: FrontData) -> Table:
    study = sources.record
    metrics = [title(o.metric) for o in study.objectives]
    kinds = {id(p): "recommended" for p in data.recommended}
    kinds |= {id(data.baseline): "baseline"}

    def place(point: PlacedConfiguration) -> str:
        more = f", {kinds[id(point)]}" if id(point) in kinds else ""
        return MARKS[point.place].label + more

    ordered = sorted(data.points, key=lambda p: (p.place != "front", p.values))
    most = max(MOST_LISTED, len(data.at("front")))
    return Table(
        ("trial", *columns_of(study), *metrics, "place", "times tried", "said of it"),
        tuple(
            (
                trial_link(p.trial),
                *values_of(study, p.configuration, units=False),
                *map(interval, p.estimates),
                place(p),
                str(len(p.trials)),
                p.note,
            )
            for p in ordered[:most]
        ),
        "Every measured configuration, with 95 % intervals"
        if most >= len(ordered)
        else f"The front, and the first of the other measured configurations ({most:,} of"
        f" {len(ordered):,}; `tune export --format csv` has all), with 95 % intervals",
        foldable=foldable(columns_of(study), 1),
    )
