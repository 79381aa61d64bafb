"""The section on progress: how fast the front was found, and what the time was spent on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tuner.pages import theme
from tuner.pages.blocks import Block, Cell, Figure, Section, Table, Words
from tuner.pages.panels import light
from tuner.pages.sources import Sources
from tuner.pages.timeline_figure import lasting, timeline_blocks, unit_of
from tuner.results.grid_cost import GridCost, grid_cost_of
from tuner.results.progress import KINDS, Kind, Progress
from tuner.results.progress import search_progress as progress_of
from tuner.results.timeline import timeline
from tuner.results.wording import figure as number
from tuner.results.wording import label, percent, reading

if TYPE_CHECKING:
    import plotly.graph_objects as go


NAME, TITLE = "progress", "Progress"

_KINDS: dict[Kind, tuple[str, str, str]] = {
    "start": ("start configuration", theme.GREY, "square"),
    "proposed": ("proposed by the sampler", theme.BLUE, "circle"),
    "again": ("measured again", theme.GREY, "diamond-open"),
    "grid": ("point of a grid", theme.BLUE, "circle-open"),
}

_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
_FAR = 2.0
"""A full grid that takes so many times longer needs a logarithmic axis to be on the figure."""
_ALIKE = 0.95
"""A grid ordered by deployment that takes more than this share of the other is not drawn too."""


def progress(sources: Sources) -> Section:
    """A study without a feasible trial has its timeline only; an empty one a sentence."""
    return Section(NAME, TITLE, tuple(_blocks(sources)))


def _blocks(sources: Sources) -> Iterator[Block]:
    study = sources.record
    clock = timeline(study)
    progress = progress_of(study, sources.summary, clock)
    if progress is None:
        yield Words("Nothing feasible was measured to the end: there is no hypervolume.", "lead")
    else:
        cost = grid_cost_of(study)
        yield Words(_lead(progress, cost), "lead")
        yield _by_trial(sources, progress)
        if progress.seconds[-1] > 0:
            yield _by_time(progress, cost)
    yield from timeline_blocks(study, clock)


def _lead(progress: Progress, cost: GridCost) -> str:
    row = progress.reached(0.9)
    most = (
        f"90 % of the final hypervolume was there after {row + 1} of {len(progress.numbers)} trials"
    )
    if progress.seconds[-1] > 0:
        most += f", {lasting(progress.seconds[row])} after the start"
    last = int(progress.numbers[progress.last])
    said = f"{most}; the last point of the overall front was found by trial {last}"
    if progress.last_scenario is not None:
        said += (
            f", of any scenario's front by trial {int(progress.numbers[progress.last_scenario])}"
        )
    if cost.grid_seconds is not None and progress.seconds[-1] > 0:
        times = cost.grid_seconds / float(progress.seconds[-1])
        said += (
            f". The full grid of {cost.grid:,} configurations is estimated to take"
            f" {lasting(cost.grid_seconds)}, {number(times)} times as long as the study did"
        )
    return said + "."


def _by_trial(sources: Sources, progress: Progress) -> Figure:
    plot = _plot("trial")
    _lines(plot, progress, progress.numbers.astype(np.int32), "trial %{x}: %{y:.1f} %")
    kinds = np.array(progress.kinds)
    for kind in KINDS:
        label, colour, symbol = _KINDS[kind]
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            plot.add_scatter(
                x=progress.numbers[rows].astype(np.int32),
                y=light(100 * progress.overall[rows]),
                mode="markers",
                name=label,
                marker={"color": colour, "symbol": symbol, "size": 7},
                hovertemplate=f"trial %{{x}}: {label}<extra></extra>",
            )
    _last(plot, progress, progress.numbers)
    return Figure(
        "hypervolume-trials",
        "Hypervolume against trials",
        _caption(sources, progress),
        plot,
        _table(progress),
    )


def _by_time(progress: Progress, cost: GridCost) -> Figure:
    grids = {
        "full grid": cost.grid_seconds,
        "full grid, ordered by deployment": cost.ordered_seconds,
    }
    grid_times = {name: s for name, s in grids.items() if s}
    if len(grid_times) > 1 and min(grid_times.values()) > _ALIKE * max(grid_times.values()):
        grid_times.popitem()
    end = (
        max(float(progress.seconds[-1]), *grid_times.values())
        if grid_times
        else float(progress.seconds[-1])
    )
    unit, length = unit_of(end)
    plot = _plot(f"time since the study began ({unit})")
    _lines(plot, progress, light(progress.seconds / length), f"%{{x:.3~g}} {unit}: %{{y:.1f}} %")
    _last(plot, progress, progress.seconds / length)
    for (name, seconds), dash in zip(grid_times.items(), ("dash", "dot"), strict=False):
        plot.add_scatter(
            x=[seconds / length] * 2,
            y=[0, 100],
            # Markers keep a line at the edge of the figure inside it.
            mode="lines+markers",
            marker={"color": theme.GREY, "size": 5},
            line={"color": theme.GREY, "dash": dash, "width": 2},
            name=f"{name}, estimated: {lasting(seconds)}",
            hovertemplate=f"{name}, estimated: {lasting(seconds)}<extra></extra>",
        )
    far = end > _FAR * float(progress.seconds[-1])
    plot.update_xaxes(type="log" if far and progress.seconds[0] > 0 else "linear")
    plot.update_layout(meta={"log_switch": ["x"]})
    caption = (
        "The same shares on the study's own clock, which stands still where the study was paused."
    )
    if grid_times:
        caption += (
            f" The full grid of {cost.grid:,} configurations is estimated from the {cost.evidence}."
        )
    return Figure(
        "hypervolume-time",
        "Hypervolume against time",
        caption,
        plot,
        _table(progress),
    )


def _plot(x: str) -> go.Figure:
    plot = theme.plot(x=x, y="share of the final hypervolume (%)", height=440)
    plot.update_yaxes(range=[-3, 104])
    plot.update_layout(margin_t=96)
    return plot


def _lines(plot: go.Figure, progress: Progress, x: np.ndarray, hover: str) -> None:
    lines = [("overall front", progress.overall, theme.FRONT, "solid")]
    if progress.fronts > 1:
        name = f"mean over the fronts of {progress.fronts} scenarios"
        lines.append((name, progress.scenarios, theme.SKY, "dashdot"))
    for name, shares, colour, dash in lines:
        plot.add_scatter(
            x=x,
            y=light(100 * shares),
            mode="lines",
            line={"shape": "hv", "color": colour, "dash": dash},
            name=name,
            hovertemplate=f"{hover}, {name}<extra></extra>",
        )


def _last(plot: go.Figure, progress: Progress, x: np.ndarray) -> None:
    number_ = int(progress.numbers[progress.last])
    label = f"last point of the overall front: trial {number_}"
    plot.add_scatter(
        x=[float(x[progress.last])],
        y=[100 * float(progress.overall[progress.last])],
        mode="markers",
        name=label,
        marker={
            "color": theme.FRONT,
            "symbol": "circle-open",
            "size": 16,
            "line": {"width": 2, "color": theme.FRONT},
        },
        hovertemplate=f"{label}<extra></extra>",
    )


def _caption(sources: Sources, progress: Progress) -> str:
    corner = ", ".join(
        f"{label(o.metric)} {reading(o.metric, v)}"
        for o, v in zip(sources.record.objectives, progress.reference, strict=True)
    )
    return (
        "What the configurations known so far dominate, as a share of what all do in the end: on"
        f" logarithmic axes, up to 1 % beyond the worst feasible values ({corner}); in each"
        " scenario, up to those of the scenario. A configuration counts from its first whole burst"
        " on, with what all its bursts together say."
    )


def _table(progress: Progress) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for share in _SHARES:
        row = progress.reached(share)
        cells: list[Cell] = [
            percent(share),
            str(progress.numbers[row]),
            lasting(progress.seconds[row]),
        ]
        if progress.fronts > 1:
            scenario_row = int(np.argmax(progress.scenarios >= share - 1e-12))
            cells += [str(progress.numbers[scenario_row]), lasting(progress.seconds[scenario_row])]
        rows.append(tuple(cells))
    columns = ("share of the final hypervolume", "overall front: trial", "time")
    more = ("mean over scenarios: trial", "time") if progress.fronts > 1 else ()
    return Table((*columns, *more), tuple(rows), "When a share of the final hypervolume was there")
