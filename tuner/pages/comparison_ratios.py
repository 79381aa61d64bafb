"""The ratios of two studies as a forest plot."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.measurement import Estimate
from tuner.pages import theme
from tuner.pages.blocks import Figure, Table
from tuner.pages.comparison_marks import B, errors, label_lines, p_value, series
from tuner.pages.panel_grid import AROUND
from tuner.results.two_studies import TwoStudies
from tuner.results.wording import figure as number
from tuner.results.wording import interval
from tuner.spec.metrics import METRICS, title

MOST_ROWS = 30
"""So many ratios are drawn at most."""


@dataclass(frozen=True)
class ForestRow:
    """One configuration's ratio with its own interval; `adjusted` is its p-value after correction.

    `values_a` and `values_b` are what it is the ratio of, in the metric's unit.
    """

    label: str
    ratio: Estimate
    adjusted: float
    differs: bool
    value_a: float
    value_b: float


@dataclass(frozen=True)
class Forest:
    """The ratios of one objective, from the smallest to the largest, and their mean.

    `left_out` counts those that are least sure, where there are more than `MOST_ROWS`.
    """

    rows: tuple[ForestRow, ...]
    mean: Estimate
    count: int
    left_out: int


def forest(comparison: TwoStudies, metric: str) -> Forest | None:
    """The data of the forest plot. None where no configuration has a ratio of `metric`."""
    overall = comparison.overall.get(metric)
    if overall is None:
        return None
    index = [o.metric for o in comparison.objectives].index(metric)
    rows = [
        ForestRow(
            str(pair.configuration),
            Estimate(ratio.value, ratio.low, ratio.high),
            ratio.adjusted,
            ratio.differs,
            pair.values_a[index],
            pair.values_b[index],
        )
        for pair in comparison.pairs
        if (ratio := pair.ratios.get(metric)) is not None
    ]
    shown = sorted(rows, key=lambda row: row.adjusted)[:MOST_ROWS]
    shown.sort(key=lambda row: row.ratio.value)
    return Forest(tuple(shown), overall.ratio, overall.count, len(rows) - len(shown))


_LINE, _BETWEEN = 15, 8
"""Pixels of a line of a label, and between labels."""

_FINE = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 2.0)
_COARSE = tuple(sorted({d * 10.0**n for d in (1, 2, 5) for n in range(-4, 5)}))

_MEAN = "<b>mean</b>"


def ratio_figure(comparison: TwoStudies, metric: str) -> Figure | None:
    """A forest plot: each configuration's ratio, and below them the mean. None without ratios."""
    data = forest(comparison, metric)
    if data is None:
        return None
    label = METRICS[metric].label
    plot = theme.plot(x=f"{label}: B / A", y="", height=AROUND + sum(map(_pixels, data.rows)))
    for differs, text, symbol in (
        (True, "differs", "diamond"),
        (False, "may not differ", "diamond-open"),
    ):
        rows = [row for row in data.rows if row.differs is differs]
        if rows:
            ends = series([row.ratio for row in rows])
            plot.add_trace(
                {
                    "type": "scatter",
                    "x": ends.values,
                    "y": [label_lines(row.label) for row in rows],
                    "mode": "markers",
                    "name": text,
                    "marker": {"color": B.colour, "symbol": symbol, "size": 9},
                    "error_x": errors(ends, B.colour),
                    "customdata": [
                        [
                            interval(r.ratio),
                            number(r.value_a),
                            number(r.value_b),
                            p_value(r.adjusted),
                        ]
                        for r in rows
                    ],
                    "hovertemplate": f"%{{y}}<br>{label} A %{{customdata[1]}}, B %{{customdata[2]}}"
                    "<br>B / A %{customdata[0]}<br>p %{customdata[3]}<extra></extra>",
                }
            )
    ends = series([data.mean])
    plot.add_trace(
        {
            "type": "scatter",
            "x": ends.values,
            "y": [_MEAN],
            "mode": "markers",
            "name": "mean",
            "marker": {"color": theme.GREEN, "symbol": "diamond-wide", "size": 13},
            "error_x": errors(ends, theme.GREEN),
            "hovertemplate": f"mean of {data.count}: {interval(data.mean)}<extra></extra>",
        }
    )
    order = [_MEAN, *(label_lines(row.label) for row in reversed(data.rows))]
    plot.update_yaxes(type="category", categoryorder="array", categoryarray=order, tickfont_size=11)
    # A ratio and its inverse are as far from 1.
    ticks = _ticks(data)
    plot.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    plot.add_vline(x=1, line={"width": 1, "dash": "dot"})
    plot.update_layout(margin_t=56, hovermode="closest")
    more = f" The {data.left_out} that are least sure are in the table only." * bool(data.left_out)
    return Figure(
        f"ratio-{metric.replace('_', '-')}",
        f"{label}: B against A",
        "Right of the line B has more. Each ratio has its own 95 % interval; filled ones differ"
        f" after correction for all tests. The mean is that of random effects.{more}",
        plot,
        _ratio_table(comparison, metric, data),
    )


def _ticks(data: Forest) -> tuple[float, ...]:
    """Few enough for a narrow screen."""
    ends = [
        end for e in (data.mean, *(r.ratio for r in data.rows)) for end in (e.low, e.high) if end
    ]
    return _FINE if max(ends) <= _FINE[-1] * min(ends) else _COARSE


def _pixels(row: ForestRow) -> int:
    return _BETWEEN + _LINE * (1 + label_lines(row.label).count("<br>"))


def _ratio_table(comparison: TwoStudies, metric: str, data: Forest) -> Table:
    index = [o.metric for o in comparison.objectives].index(metric)
    rows = []
    for pair in comparison.pairs:
        ratio = pair.ratios.get(metric)
        cells = (
            ("unstable" if pair.unstable else "-", "-", "-", "-")
            if ratio is None
            else (
                interval(Estimate(ratio.value, ratio.low, ratio.high)),
                p_value(ratio.adjusted),
                "yes" if ratio.differs else "no",
                f"{ratio.seen:.2f}",
            )
        )
        values = (number(values[index]) for values in (pair.values_a, pair.values_b))
        rows.append((str(pair.configuration), *values, *cells))
    return Table(
        (
            "configuration",
            f"A: {title(metric)}",
            f"B: {title(metric)}",
            "B / A",
            "p, corrected",
            "differs",
            "smallest factor to be seen",
        ),
        (*rows, ("mean", "", "", interval(data.mean), "", "", "")),
        "Every configuration that both measured to the end, with 95 % intervals",
    )
