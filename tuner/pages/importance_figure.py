"""The figure of how much each parameter matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuner.measure.link import link_of
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.results.explain import Explanation
from tuner.results.importance import Importance, Interaction, Share
from tuner.results.pooled import standard_error
from tuner.results.wording import label, percent_interval

if TYPE_CHECKING:
    import plotly.graph_objects as go


LEAST_INTERACTION = 0.005
"""A pair below this share of an objective's variance is not listed."""


@dataclass(frozen=True)
class Noise:
    """What differs from burst to burst of one configuration, of the trials of one objective.

    `share` is that part of the variance of the measured logarithms, None where they do not vary.
    `relative_sd` is the standard deviation between bursts, None before enough configurations were
    repeated: then only what each burst's own interval says counts, and the share is a least one.
    """

    metric: str
    share: float | None
    relative_sd: float | None


@dataclass(frozen=True)
class Importances:
    """`parameters` by their largest total of any objective; `pairs` the largest first."""

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    by_parameter: dict[tuple[str, str], Importance]
    pairs: tuple[Interaction, ...]
    noise: tuple[Noise, ...]


def study_importances(record: StudyRecord, explanation: Explanation) -> Importances:
    """Of a study; `by_parameter` has them by parameter and metric."""
    largest: dict[str, float] = {}
    for i in explanation.importances:
        largest[i.parameter] = max(largest.get(i.parameter, 0.0), i.total.value)
    return Importances(
        tuple(sorted(largest, key=lambda name: -largest[name])),
        explanation.metrics,
        {(i.parameter, i.metric): i for i in explanation.importances},
        tuple(i for i in explanation.interactions if i.share.value >= LEAST_INTERACTION),
        tuple(noise(record, metric) for metric in explanation.metrics),
    )


def noise(record: StudyRecord, metric: str) -> Noise:
    """The noise of `metric`, from the feasible trials that were measured to the end."""
    index = [o.metric for o in record.objectives].index(metric)
    trials = [t for t in record.trials if t.eligible]
    repeatability = record.repeatability.get(metric)
    between = None if repeatability is None else repeatability.relative_sd
    if len(trials) < 2:
        return Noise(metric, None, between)
    whole = float(np.var(link_of(metric).scaled([t.values[index] for t in trials]), ddof=1))
    own = float(np.mean([standard_error(t.metric(metric), metric) ** 2 for t in trials]))
    # The variance of equal numbers is zero up to rounding.
    share = min(1.0, (own + (between or 0.0) ** 2) / whole) if whole > 1e-12 else None
    return Noise(metric, share, between)


_NOISE = "noise between bursts"

_BAR, _AROUND = 26, 150
"""Pixels: for a bar, around them all."""


def importance_figure(importances: Importances) -> Figure:
    """Bars per parameter and objective: the total index, and the first-order index inside it."""
    names = [*importances.parameters, _NOISE]
    height = _BAR * len(names) * len(importances.metrics) + _AROUND
    drawing = theme.plot(x="share of variation (%)", y="", height=height)
    # The last bar drawn is the upper one.
    for k, metric in reversed(list(enumerate(importances.metrics))):
        _bars(drawing, importances, metric, theme.OBJECTIVES[k % len(theme.OBJECTIVES)])
    shown = [theme.plotly_text(name) for name in reversed(names)]
    drawing.update_layout(barmode="group", bargap=0.3, margin_t=64, legend_traceorder="reversed")
    drawing.update_yaxes(categoryorder="array", categoryarray=shown, title="")
    drawing.update_xaxes(rangemode="tozero")
    return Figure("importances", "How much each parameter matters", _caption(importances), drawing,
                  _table(importances))  # fmt: skip


def _bars(drawing: go.Figure, importances: Importances, metric: str, colour: str) -> None:
    of_metric = [importances.by_parameter.get((name, metric)) for name in importances.parameters]
    names = [theme.plotly_text(i.parameter) for i in of_metric if i is not None]
    parts = (
        ("with others", [i.total for i in of_metric if i is not None], theme.band(colour, 0.35)),
        ("alone", [i.first for i in of_metric if i is not None], colour),
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
    noise = next(n for n in importances.noise if n.metric == metric)
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


def _caption(importances: Importances) -> str:
    text = (
        "Shares of the variance of each objective's logarithm over all configurations that can be"
        " expected to serve: of a parameter alone (first-order Sobol index) and with what it does"
        " together with others (total index), with 95 % intervals. Noise: what differs between"
        " bursts of one configuration, as a share of the variance of what was measured"
    )
    repeated = [n for n in importances.noise if n.relative_sd is not None]
    if repeated:
        said = " and ".join(
            f"{100 * (n.relative_sd or 0):.1f} % in {label(n.metric)}" for n in repeated
        )
        return f"{text}; a burst is off by {said} (standard deviation)."
    return f"{text}; at least, as too few configurations were repeated."


def _table(importances: Importances) -> Table:
    rows = [
        (name, label(metric), share(i.first), share(i.total), _best(i.best))
        for name in importances.parameters
        for metric in importances.metrics
        if (i := importances.by_parameter.get((name, metric))) is not None
    ]
    rows += [(_NOISE, label(n.metric), _noise(n), "-", "-") for n in importances.noise]
    return Table(
        ("Parameter", "Objective", "Alone", "With others", "Among the best tenth (PED-ANOVA)"),
        tuple(rows),
    )


def _noise(noise: Noise) -> str:
    if noise.share is None:
        return "-"
    return f"{'' if noise.relative_sd is not None else 'at least '}{100 * noise.share:.1f} %"


def _best(share_of: float | None) -> str:
    return "-" if share_of is None else f"{100 * share_of:.0f} %"


def share(index: Share) -> str:
    """A share with its interval, such as `49 % (45-54)`."""
    return percent_interval(Estimate(index.value, index.low, index.high))
