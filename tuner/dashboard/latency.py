"""The latency figure of a trial: how many requests took how long."""

from __future__ import annotations

from io import BytesIO
from math import sqrt
from threading import Lock

from matplotlib.figure import Figure

from tuner.results.burst_latency import Latency

# Okabe and Ito's blue and orange, as in the report.
_BARS, _MARKS = "#0072B2", "#D55E00"

_one_at_a_time = Lock()
"""Matplotlib is not made for threads, and each request to the dashboard has its own."""


def latency_png(latency: Latency, heading: str) -> bytes:
    """A PNG: ECDF above histogram, one logarithmic axis, percentiles with 95 % intervals."""
    with _one_at_a_time:
        figure = Figure(figsize=(7.2, 5.2), dpi=120, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        figure.suptitle(heading, parse_math=False)
        above.step(latency.at, 100 * latency.share, where="post", color=_BARS)
        middle = sqrt(latency.at[0] * latency.at[-1])
        for name, percentile in latency.percentiles.items():
            share = float(name.removeprefix("p").removesuffix("_ms"))
            above.plot([percentile.value], [share], "o", color=_MARKS)
            if percentile.low is not None and percentile.high is not None:
                above.plot(
                    [percentile.low, percentile.high], [share, share], color=_MARKS, linewidth=2
                )
            text = f"{name.removesuffix('_ms')} {percentile.value:.3g} {latency.unit}"
            # Towards the middle, so that the edge cuts none off.
            side, aligned = (8, "left") if percentile.value < middle else (-8, "right")
            where = {"xytext": (side, -13), "textcoords": "offset points", "ha": aligned}
            above.annotate(text, (percentile.value, share), **where)
        above.set_ylabel("requests answered within (%)")
        above.set_ylim(0, 103)
        below.stairs(latency.bins, latency.edges, fill=True, color=_BARS, alpha=0.7)
        below.set_ylabel("requests")
        below.set_xlabel(f"response time ({latency.unit}, logarithmic)")
        below.set_xscale("log")
        for axes in (above, below):
            axes.grid(alpha=0.3)
        return _png(figure)


def words_png(text: str) -> bytes:
    """A picture that says why there is no figure."""
    with _one_at_a_time:
        figure = Figure(figsize=(7.2, 2), dpi=120)
        figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True, parse_math=False)
        return _png(figure)


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()
