"""The figure of why configurations are dominated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.axis_ticks import decades
from tuner.pages.blocks import Cell, Figure, Table
from tuner.pages.marks import MARKS, Drawn, Mark, columns_of, foldable, marks, trial_link, values_of
from tuner.pages.panels import scale
from tuner.pages.sources import Sources
from tuner.results.cause_rules import NOISE, UNKNOWN, UNSTABLE
from tuner.results.causes import Causes, Explained
from tuner.results.in_words import listed
from tuner.results.pooled import Pooled
from tuner.results.wording import interval
from tuner.spec.metrics import title

_LOOKS = {
    "short of memory": (theme.VERMILION, "square"),
    "retransmission": (theme.PURPLE, "triangle-up"),
    "throttled": (theme.ORANGE, "diamond"),
    "queueing": (theme.GREEN, "triangle-down"),
    "more load": (theme.SKY, "cross"),
    "idle replicas": (theme.SKY, "square-open"),
    "oversized": (theme.GREEN, "pentagon-open"),
    "costly requests": (theme.ORANGE, "diamond-open"),
    NOISE: (theme.GREY, "circle-open"),
    UNSTABLE: (theme.GREY, "hourglass-open"),
    UNKNOWN: (theme.GREY, "x-thin-open"),
}
"""Colour and mark of each cause."""


def cause_figure(sources: Sources, causes: Causes) -> Figure:
    """The dominated configurations, coloured by their main cause, and the front.

    The axes are the first two objectives. A single objective is drawn over trial numbers.
    """
    study = sources.record
    metrics = [o.metric for o in study.objectives]
    pair: tuple[int | None, int] = (0, 1) if len(metrics) > 1 else (None, 0)
    across, up = pair
    x = "trial" if across is None else title(metrics[across])
    front = [sources.summary.pooled[t.number] for t in sources.summary.front]
    ways = [(MARKS["front"], [_drawn(study, p, "") for p in front])]
    for cause, explained in _by_cause(causes).items():
        drawn = [_drawn(study, e.pooled, ", ".join(e.causes)) for e in explained]
        ways.append((Mark(cause, *_LOOKS[cause], 9), drawn))
    shown = [*front, *(e.pooled for e in causes.dominated)]
    axes = {
        axis: _axis(np.array([p.values[index] for p in shown]))
        for axis, index in (("xaxis", across), ("yaxis", up))
        if index is not None
    }
    drawing = theme.plot(
        x=x,
        y=title(metrics[up]),
        height=480,
        traces=[marks(study, mark, drawn, pair, bars=False) for mark, drawn in ways],
        margin={"t": 72},
        **axes,
    )
    return Figure(
        "causes",
        "Why configurations are dominated",
        _caption(causes, len(metrics)),
        drawing,
        _table(study, causes.dominated),
    )


def _axis(values: npt.NDArray[np.float64]) -> dict[str, object]:
    """Logarithmic where they span a large factor."""
    if scale([values]) == "log" and values.min() > 0:
        return decades(float(values.min()), float(values.max()))
    return {"rangemode": "tozero"}


def _by_cause(causes: Causes) -> dict[str, list[Explained]]:
    """The dominated configurations by their main cause.

    The largest group comes first, so that it is drawn below the others.
    """
    groups: dict[str, list[Explained]] = {
        g.cause: [] for g in causes.groups if g.end == "dominated"
    }
    for e in causes.dominated:
        groups[e.causes[0]].append(e)
    return groups


def _drawn(study: StudyRecord, pooled: Pooled, note: str) -> Drawn:
    number = pooled.representative.number
    estimates = tuple(pooled.estimate(i) for i in range(len(pooled.values)))
    if not pooled.bursts:
        # Cut short: what it was when it was ended, without an interval.
        estimates = tuple(Estimate(e.value) for e in estimates)
    values = map(theme.plotly_text, values_of(study, pooled.configuration))
    texts = (f"trial {number}", *values, *map(interval, estimates), theme.plotly_text(note))
    return Drawn(estimates, texts, number)


def _caption(causes: Causes, objectives: int) -> str:
    text = (
        f"Each of the {len(causes.dominated)} configurations that are not on the front, by the main"
        " cause that its containers' counters show; the front for comparison."
    )
    if objectives > 2:
        text += " Drawn in the first two objectives."
    if causes.infeasible:
        text += f" {len(causes.infeasible)} infeasible ones are in the table below."
    return text


def _table(study: StudyRecord, dominated: Iterable[Explained]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for e in dominated:
        drawn = _drawn(study, e.pooled, "")
        rows.append(
            (
                trial_link(e.trial.number),
                *values_of(study, e.pooled.configuration, units=False),
                *map(interval, drawn.estimates),
                e.causes[0],
                ", ".join(e.causes[1:]) or "-",
                listed([t.number for t in e.rivals], 4) or "-",
            )
        )
    return Table(
        (
            "Trial",
            *columns_of(study),
            *(title(o.metric) for o in study.objectives),
            "Main cause",
            "Also",
            "Dominated by",
        ),
        tuple(rows),
        foldable=foldable(columns_of(study), 1),
    )
