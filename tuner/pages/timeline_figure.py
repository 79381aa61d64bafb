"""The figure of what ran when: a bar per trial, in the colours of its phases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Block, Cell, Figure, Table, Words
from tuner.pages.panels import light
from tuner.results.timeline import PHASES, Timeline, slices
from tuner.results.wording import counted, duration, percent
from tuner.results.wording import figure as number

if TYPE_CHECKING:
    import plotly.graph_objects as go


_MARKED = 80
"""So many pauses are marked; a study that was resumed more often has them in the table only."""

_MANY = 200
"""Of more trials, single bars are too thin to be read before one looks closer."""

_SLICES = 80

_RESOLVED = 2.0
"""Seconds: of shorter trials, starts in whole seconds show no more than their order."""


def unit_of(seconds: float) -> tuple[str, float]:
    """In what so long a time is read best, and how many seconds that is."""
    if seconds < 180:
        return "s", 1.0
    return ("min", 60.0) if seconds < 3 * 3600 else ("h", 3600.0)


def lasting(seconds: float) -> str:
    """As `duration` says it, and more exactly where it is short: `9.88 s`, `2.1 ms`."""
    if 0 < seconds < 0.1:
        return f"{number(1000 * seconds)} ms"
    return f"{number(seconds)} s" if seconds < 90 else duration(seconds)


def timeline_blocks(study: StudyRecord, clock: Timeline) -> Iterator[Block]:
    """What share of the time was spent measuring, and the timeline; nothing where nothing ran."""
    if not len(clock.numbers):
        return
    yield Words(_shares(clock), "lead")
    if any(t.backend == "simulated" for t in study.trials):
        yield Words(
            "SIMULATED: a burst is computed, so its time here is that of the computation.", "doubt"
        )
    if len(clock.numbers) > _MANY:
        yield _sliced(clock)
    yield _figure(clock)


def _shares(clock: Timeline) -> str:
    total = sum(clock.totals.values())
    listed = ", ".join(
        f"{percent(seconds / total)} {phase}" for phase, seconds in clock.totals.items()
    )
    measuring = percent(clock.totals.get("measure", 0.0) / total)
    paused = sum(p.seconds for p in clock.pauses)
    return (
        f"{measuring} of the {lasting(total)} that trials took was measuring ({listed}). The study"
        f" ran for {lasting(clock.elapsed)}"
        + (
            f", and was paused for {lasting(paused)} in {counted(len(clock.pauses), 'pause')}"
            if clock.pauses
            else ""
        )
        + f"; for {lasting(clock.idle)} of it no trial ran, while the next one was chosen."
    )


def _figure(clock: Timeline) -> Figure:
    unit, length = unit_of(clock.elapsed)
    plot = theme.plot(
        x=f"time since the study began ({unit})",
        y="trial",
        height=int(np.clip(140 + 6 * len(clock.numbers), 300, 640)),
    )
    for phase in PHASES:
        spans = clock.spans[phase]
        if len(spans.row):
            plot.add_bar(
                orientation="h",
                y=clock.numbers[spans.row].astype(np.int32),
                base=light(spans.start / length),
                x=light(spans.seconds / length),
                customdata=light(spans.seconds),
                width=0.85,
                name=phase,
                marker={"color": theme.PHASES[phase], "line": {"width": 0}},
                hovertemplate=f"trial %{{y}}: {phase} %{{customdata:.3~g}} s<extra></extra>",
            )
    if clock.failed.any():
        bad = np.flatnonzero(clock.failed)
        plot.add_scatter(
            x=light((clock.start + clock.seconds)[bad] / length),
            y=clock.numbers[bad].astype(np.int32),
            mode="markers",
            name="failed",
            marker={"color": theme.INFEASIBLE, "symbol": "x", "size": 7},
            hovertemplate="trial %{y} failed<extra></extra>",
        )
    _mark_pauses(plot, clock)
    plot.update_layout(barmode="overlay", bargap=0, margin_t=72)
    plot.update_yaxes(autorange="reversed", tickformat="d")
    return Figure("timeline", "What ran when", _caption(clock), plot, _table(clock))


def _mark_pauses(plot: go.Figure, clock: Timeline) -> None:
    for pause in clock.pauses[:_MARKED]:
        plot.add_vline(
            pause.at / unit_of(clock.elapsed)[1],
            line={"dash": "dot", "width": 1},
            annotation={
                "text": f"paused {lasting(pause.seconds)}",
                "textangle": -90,
                "font_size": 11,
                "yanchor": "top",
            },
        )


def _sliced(clock: Timeline) -> Figure:
    unit, length = unit_of(clock.elapsed)
    edges, by_phase = slices(clock, _SLICES)
    width = edges[1] - edges[0]
    plot = theme.plot(
        x=f"time since the study began ({unit})", y="share of the time (%)", height=360
    )
    for phase in clock.totals:
        plot.add_bar(
            x=light((edges[:-1] + edges[1:]) / (2 * length)),
            y=light(100 * by_phase[phase] / width),
            width=width / length,
            name=phase,
            marker={"color": theme.PHASES[phase], "line": {"width": 0}},
            hovertemplate=f"%{{x:.3~g}} {unit}: %{{y:.0f}} % {phase}<extra></extra>",
        )
    _mark_pauses(plot, clock)
    plot.update_layout(barmode="stack", bargap=0, margin_t=72)
    return Figure(
        "time-shares",
        "What the time was spent on",
        "What trials did in each slice of the time; above 100 % where several ran at once. What is"
        " missing to 100 % lies between trials.",
        plot,
        _table(clock),
    )


def _caption(clock: Timeline) -> str:
    said = ["A bar per trial, in the colours of what it did."]
    if "other" in clock.totals:
        said.append("Other is to connect, and a first measurement that did not count.")
    if np.median(clock.seconds) < _RESOLVED:
        said.append("Starts are recorded in whole seconds.")
    if clock.pauses:
        said.append("A dotted line is a pause, which the axis leaves out.")
    if clock.failed.any():
        said.append("A cross ends a trial that failed.")
    if clock.untimed:
        said.append(f"Of {clock.untimed} trials no time is known.")
    return " ".join(said)


def _table(clock: Timeline) -> Table:
    count = len(clock.numbers)
    total = sum(clock.totals.values())
    rows: list[tuple[Cell, ...]] = [
        (
            phase,
            lasting(seconds),
            percent(seconds / total),
            str(len(clock.spans[phase].row)),
            lasting(float(np.median(clock.spans[phase].seconds))),
        )
        for phase, seconds in clock.totals.items()
    ]
    rows.append(("all", lasting(total), percent(1.0), str(count), lasting(total / count)))
    rows += [
        (f"pause {i}, after {lasting(p.at)}", lasting(p.seconds), "-", "-", "-")
        for i, p in enumerate(clock.pauses, start=1)
    ]
    return Table(("phase", "time", "share", "trials", "median"), tuple(rows), "Time by phase")
