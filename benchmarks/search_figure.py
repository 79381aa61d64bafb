"""Figure of a benchmark: hypervolume against trials and against cost, with bands over seeds."""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search_runs import Outcome
from benchmarks.search_tables import Groups
from benchmarks.search_truth import Problem
from tuner.arrays import Floats

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#7F7F7F",
    "#882255",
    "#44AA99",
    "#999933",
    "#332288",
    "#AA4499",
    "#661100",
)
"""Told apart by people who see few colours (Okabe and Ito, then Tol)."""

KINDS = (
    ("trials", "overall front: share of HV"),
    ("cost, % of the ordered grid", "overall front: share of HV"),
    ("trials", "all scenarios: HV of six"),
)
"""What is drawn, in rows: the label of each axis."""

_COSTS = 200


@dataclass(frozen=True, eq=False)
class Band:
    """Median and quartiles over seeds along `x`; all of shape (k,)."""

    x: Floats
    low: Floats
    middle: Floats
    high: Floats


def by_trials(outcomes: Sequence[Outcome]) -> Band:
    """Share of the overall front after each trial."""
    curves = np.array([o.share for o in outcomes])
    return _band(np.arange(1.0, curves.shape[1] + 1), curves)


def by_cost(outcomes: Sequence[Outcome], grid_seconds: float) -> Band:
    """Share of the overall front when so many percent of the ordered grid's cost are spent.

    Up to the cost at which the first of the searches ended.
    """
    most = min(o.seconds[-1] for o in outcomes)
    spent = np.linspace(0, most, _COSTS)
    curves = []
    for outcome in outcomes:
        # The share is that of the last trial that was finished by then.
        done = np.searchsorted(outcome.seconds, spent, side="right")
        curves.append(np.concatenate([[0.0], outcome.share])[done])
    return _band(100 * spent / grid_seconds, np.array(curves))


def of_six(outcomes: Sequence[Outcome]) -> Band:
    """Hypervolume of six recommended points per scenario, where the model was judged."""
    trials = sorted(outcomes[0].model)
    curves = np.array([[o.model[n].hypervolume for n in trials] for o in outcomes])
    return _band(np.array(trials, dtype=np.float64), curves)


def _band(x: Floats, curves: Floats) -> Band:
    low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
    return Band(x, low, middle, high)


def bands(problem: Problem, outcomes: Sequence[Outcome]) -> tuple[Band, ...]:
    """One of each of `KINDS`."""
    return by_trials(outcomes), by_cost(outcomes, problem.grid_seconds), of_six(outcomes)


def write_figure(
    path: Path, problems: Sequence[Problem], contenders: Sequence[str], groups: Groups
) -> None:
    """One page that needs no network; needs Plotly."""
    from plotly import graph_objects  # noqa: PLC0415 -- only who draws needs it
    from plotly.subplots import make_subplots  # noqa: PLC0415

    figure = make_subplots(
        rows=len(KINDS),
        cols=len(problems),
        subplot_titles=[p.name for p in problems],
        vertical_spacing=0.08,
        horizontal_spacing=0.04,
    )
    for column, problem in enumerate(problems, start=1):
        for name, colour in zip(contenders, COLOURS, strict=False):
            runs = groups.get((problem.name, name), ())
            for row, band in enumerate(bands(problem, runs) if runs else (), start=1):
                shown = {"row": row, "col": column}
                both = np.concatenate([band.high, band.low[::-1]])
                figure.add_trace(
                    graph_objects.Scatter(
                        x=np.concatenate([band.x, band.x[::-1]]),
                        y=both,
                        fill="toself",
                        fillcolor=colour,
                        opacity=0.15,
                        line={"width": 0},
                        hoverinfo="skip",
                        legendgroup=name,
                        showlegend=False,
                    ),
                    **shown,
                )
                figure.add_trace(
                    graph_objects.Scatter(
                        x=band.x,
                        y=band.middle,
                        name=name,
                        mode="lines+markers" if row == len(KINDS) else "lines",
                        line={"color": colour, "shape": "hv" if row < len(KINDS) else "linear"},
                        legendgroup=name,
                        showlegend=row == column == 1,
                    ),
                    **shown,
                )
        for row, (across, up) in enumerate(KINDS, start=1):
            figure.update_xaxes(title_text=across, row=row, col=column)
            figure.update_yaxes(range=[0.6, 1.005], row=row, col=column)
            if column == 1:
                figure.update_yaxes(title_text=up, row=row, col=column)
    figure.update_layout(
        title="Median over seeds, with quartiles",
        template="plotly_white",
        height=340 * len(KINDS),
        legend={"orientation": "h", "y": -0.06},
    )
    figure.write_html(path, include_plotlyjs=True)
