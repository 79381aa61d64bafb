"""The hypervolumes of two studies' fronts as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.comparison_marks import A, B, errors, label_lines, scope_label, series
from tuner.pages.panel_grid import AROUND
from tuner.results.two_studies import TwoStudies
from tuner.results.wording import interval


@dataclass(frozen=True)
class Bar:
    """The hypervolumes of a scope as shares of both fronts', 0 to 1."""

    label: str
    a: Estimate
    b: Estimate


def bars(comparison: TwoStudies) -> tuple[Bar, ...]:
    """The hypervolume shares of every scope in which a study has a front."""
    return tuple(
        Bar(scope_label(s), s.a.share, s.b.share)
        for s in comparison.scopes
        if s.a.front or s.b.front
    )


def volume_figure(comparison: TwoStudies) -> Figure | None:
    """Bars of both hypervolumes by scope. None where neither study has a front."""
    drawn = bars(comparison)
    if not drawn:
        return None
    plot = theme.plot(x="% of both fronts together", y="", height=AROUND + 52 * len(drawn))
    for mark in (A, B):
        ends = series([_percent(bar.a if mark is A else bar.b) for bar in drawn])
        plot.add_trace(
            {
                "type": "bar",
                "x": ends.values,
                "y": [label_lines(bar.label) for bar in drawn],
                "orientation": "h",
                "name": mark.name,
                "marker": {"color": mark.colour},
                "error_x": errors(ends, theme.GREY),
                "hovertemplate": f"%{{y}}: %{{x:.0f}} %<extra>{mark.name}</extra>",
            }
        )
    plot.update_layout(barmode="group", margin_t=56)
    plot.update_xaxes(range=[0, 105])
    plot.update_yaxes(type="category", autorange="reversed", tickfont_size=11)
    return Figure(
        "hypervolumes",
        "Hypervolume of both fronts",
        "On logarithmic axes, in one box below the worst values of both. Who measured more"
        " configurations of a scenario has a larger front by that alone. Bars have 95 % intervals.",
        plot,
        _volume_table(comparison, drawn),
    )


def _volume_table(comparison: TwoStudies, drawn: Sequence[Bar]) -> Table:
    scopes = {scope_label(scope): scope for scope in comparison.scopes}
    rows = []
    for bar in drawn:
        scope = scopes[bar.label]
        ratio = "-" if scope.hypervolume is None else interval(scope.hypervolume)
        cells = []
        for side in (scope.a, scope.b):
            share = interval(_percent(side.share))
            cells += [str(side.measured), str(len(side.front)), str(side.beaten), share]
        rows.append((bar.label, *cells, ratio, scope.ahead))
    columns = [
        f"{name}: {column}"
        for name in (A.name, B.name)
        for column in ("configurations", "on the front", "clearly dominated", "hypervolume (%)")
    ]
    return Table(
        ("scenario", *columns, "hypervolume of B / A", "clearly ahead"), tuple(rows), "Both fronts"
    )


def _percent(share: Estimate) -> Estimate:
    low, high = (None if bound is None else 100 * bound for bound in (share.low, share.high))
    return Estimate(100 * share.value, low, high)
