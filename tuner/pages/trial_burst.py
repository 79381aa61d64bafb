"""A trial's burst drawn in the order of time, and what each replica had of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.arrays import Counts, Floats
from tuner.load.parquet import Recording
from tuner.measure.samples import RequestOutcome
from tuner.measure.statistics import NANOSECONDS
from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.panels import Panel, light, line, panels, scale
from tuner.pages.theme import Trace
from tuner.pages.trial_tables import replica_table
from tuner.results.replicas import Part
from tuner.results.wording import figure as number

SPANS = 100
"""Of a burst, from its first request to its last answer."""


@dataclass(frozen=True, eq=False)
class OverTime:
    """A burst in equal spans of time, arrays of shape (k,), k <= `SPANS`.

    Seconds count from when the first request was due; `middle` is that of each span. A request is
    in the span in which it completed. Of the successful ones of a span: the `least`, `median`,
    `p95` and `most` response time in ms, nan where there is none, and how many there were a second
    (`rate`). `errors` counts the others. `window` is when the measured window began and ended.
    """

    middle: Floats
    least: Floats
    median: Floats
    p95: Floats
    most: Floats
    rate: Floats
    errors: Counts
    window: tuple[float, float]
    span: float
    """Seconds."""


def over_time(recording: Recording) -> OverTime | None:
    """None for a burst without a request."""
    samples = recording.samples
    if not len(samples):
        return None
    ended = samples.start_ns + samples.duration_ns
    first = int(samples.start_ns.min())
    whole = max(int(ended.max()), recording.window_end_ns) - first
    spans = min(SPANS, max(1, len(samples)))
    span_ns = max(1, -(-(whole + 1) // spans))
    index = (ended - first) // span_ns
    good = samples.outcome == RequestOutcome.OK
    levels = np.full((4, spans), np.nan)
    # Sorted by span, so that each one's response times stand together.
    order = np.argsort(index[good], kind="stable")
    times, at = samples.duration_ns[good][order] / 1e6, index[good][order]
    edges = np.searchsorted(at, np.arange(spans + 1))
    for k in range(spans):
        inside = times[edges[k] : edges[k + 1]]
        if len(inside):
            levels[:, k] = np.quantile(inside, [0, 0.5, 0.95, 1], method="inverted_cdf")
    least, median, p95, most = levels
    start, end = recording.window_start_ns, recording.window_end_ns
    return OverTime(
        middle=(np.arange(spans, dtype=np.float64) + 0.5) * (span_ns / NANOSECONDS),
        least=least,
        median=median,
        p95=p95,
        most=most,
        rate=np.diff(edges).astype(np.float64) * (NANOSECONDS / span_ns),
        errors=np.bincount(index[~good], minlength=spans).astype(np.int64),
        window=((start - first) / NANOSECONDS, (end - first) / NANOSECONDS),
        span=span_ns / NANOSECONDS,
    )


_TIME = "response time (ms)"


def over_time_figure(trial: int, of: OverTime) -> Figure:
    """Response time and throughput while the burst went on."""
    seconds = "time since the first request (s)"
    times = {"type": scale([of.least, of.most])}
    rates = {"type": "linear", "rangemode": "tozero"}
    plot = panels(
        [
            Panel(seconds, _TIME, [*_extremes(of), *_levels(of)], yaxis=times),
            Panel(seconds, "requests/s", [*_rates(of)], yaxis=rates),
        ],
        shared=True,
        shapes=_window(of),
        meta={"log_switch": ["y"]},
    )
    return Figure(
        f"trial-{trial}-time",
        "The burst over time",
        f"Requests by when they completed, in spans of {of.span:.2g} s: median, p95 and the"
        " extremes of the successful ones, and how many there were a second. The shaded part on the"
        " left is the warm-up; dotted lines mark the measured window.",
        plot,
        _time_table(of),
    )


def _extremes(of: OverTime) -> Iterator[Trace]:
    for values, label, symbol in (
        (of.most, "slowest", "triangle-up"),
        (of.least, "quickest", "triangle-down"),
    ):
        yield {
            "type": "scatter",
            "x": light(of.middle),
            "y": light(values),
            "mode": "markers",
            "name": label,
            "marker": {"symbol": symbol, "size": 4, "color": theme.FRONT, "opacity": 0.5},
            "hovertemplate": f"{label} %{{y:.3g}} ms",
        }


def _levels(of: OverTime) -> Iterator[Trace]:
    for values, label, dash in ((of.p95, "p95", "dot"), (of.median, "median", "solid")):
        style = {"color": theme.FRONT, "dash": dash}
        # Spans may stand alone, between others without a request.
        marked = {"mode": "lines+markers", "marker": {"size": 4}}
        hover = f"{label} %{{y:.3g}} ms"
        yield line(of.middle, values, label, style, hovertemplate=hover, **marked)


def _rates(of: OverTime) -> Iterator[Trace]:
    style, hover = {"color": theme.GREEN}, "%{y:.3g} requests/s"
    yield line(of.middle, of.rate, "throughput", style, hovertemplate=hover)
    failed = np.flatnonzero(of.errors)
    if len(failed):
        yield {
            "type": "scatter",
            "x": light(of.middle[failed]),
            "y": light(of.errors[failed] / of.span),
            "mode": "markers",
            "name": "failed requests",
            "marker": {"symbol": "x", "size": 8, "color": theme.INFEASIBLE},
            "hovertemplate": "%{y:.3g} failed/s",
        }


def _window(of: OverTime) -> list[dict[str, Any]]:
    start, end = of.window
    shapes: list[dict[str, Any]] = []
    for panel in ("", "2"):
        on = {"xref": f"x{panel}", "yref": f"y{panel} domain", "y0": 0, "y1": 1, "layer": "below"}
        fill = theme.band(theme.PHASES["warm-up"], 0.3)
        shapes.append(
            {"type": "rect", "x0": 0, "x1": start, "fillcolor": fill, "line": {"width": 0}, **on}
        )
        style = {"dash": "dot", "width": 1.5, "color": theme.GREY}
        shapes += [{"type": "line", "x0": x, "x1": x, "line": style, **on} for x in (start, end)]
    return shapes


def _time_table(of: OverTime) -> Table:
    """At most ten parts of the burst: median of the spans' medians and p95, slowest request."""
    rows = []
    for part in np.array_split(np.arange(len(of.middle)), min(10, len(of.middle))):
        answered = part[np.isfinite(of.median[part])]
        ends = (of.middle[part[0]] - of.span / 2, of.middle[part[-1]] + of.span / 2)
        levels = (
            (np.median(of.median[answered]), np.median(of.p95[answered]), of.most[answered].max())
            if len(answered)
            else ()
        )
        rows.append(
            (
                f"{ends[0]:.1f} to {ends[1]:.1f}",
                *(number(float(v)) for v in levels),
                *("-" for _ in range(3 - len(levels))),
                number(float(of.rate[part].mean())),
                f"{int(of.errors[part].sum()):,}",
            )
        )
    columns = "time (s)", "median (ms)", "p95 (ms)", "slowest (ms)", "requests/s", "failed"
    start, end = of.window
    caption = (
        f"Measured window from {start:.2f} to {end:.2f} s. Median and p95: median of the spans'."
    )
    return Table(columns, tuple(rows), caption)


def replicas(trial: int, of: Sequence[Part]) -> Figure:
    """Whether requests and CPU time were spread evenly."""
    names = [f"replica {part.replica}" for part in of]
    colours = [theme.SERIES[part.replica % len(theme.SERIES)] for part in of]
    bars = {"type": "bar", "x": names}
    shared_out = [
        {
            **bars,
            "y": [None if share is None else 100 * share for share in shares],
            "name": label,
            "marker": {"color": colours, "pattern": {"shape": shape}},
            "hovertemplate": "%{y:.1f} %",
        }
        for label, shares, shape in (
            ("requests", [part.request_share for part in of], ""),
            ("CPU time", [part.cpu_share for part in of], "/"),
        )
    ]
    art = {
        **bars,
        "y": [part.metrics.get("art_ms") for part in of],
        "marker": {"color": colours},
        "showlegend": False,
        "hovertemplate": "ART %{y:.3g} ms",
    }
    plot = panels([Panel("", "share (%)", shared_out), Panel("", "ART (ms)", [art])])
    return Figure(
        f"trial-{trial}-replicas",
        "Balance of the replicas",
        "Each replica's share of the window's requests (plain) and of the replicas' CPU time"
        " (hatched), and below the ART of its requests.",
        plot,
        replica_table(of),
    )
