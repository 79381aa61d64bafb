"""The figure of the answer: what was measured in each scenario, and what holds a reader's bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import BoundedMetric, BoundedPoint, Bounds, Figure, Table, View
from tuner.pages.marks import (
    BASELINE,
    MARKS,
    RECOMMENDED,
    edge,
    marks,
    of_point,
    trial_link,
)
from tuner.pages.panels import scale
from tuner.pages.scenario_figure import ScenarioPanel, scenario_panels
from tuner.pages.sources import Sources
from tuner.pages.theme import Trace
from tuner.results.places import PlacedConfiguration, boundary, front_data
from tuner.results.pooled import Pooled
from tuner.results.reserving import Reservation, idle_replicas, reservation
from tuner.results.service_level import average_of_metric
from tuner.results.wording import deployment_column, deployment_text, interval, scenario_text
from tuner.spec.metrics import METRICS, title
from tuner.spec.space import Configuration

HEIGHT = 350

_NAMED_FIRST, _NAMED_LAST = ("p95_ms", "p99_ms"), ("error_rate",)
_OTHERS = (
    *("throughput_rps", "goodput_rps", "capacity_rps", "ready_seconds"),
    *("memory_peak_mib", "reserved_cores", "reserved_mib", "cost_per_month"),
)
"""What a reader may bound, beside the objectives and what the study itself bounds."""

_CHEAPEST = "cheapest within the bound"


def answer_figure(sources: Sources) -> Iterator[Figure]:
    """One drawing for each scenario, the one that the study is about first; nothing where nothing
    was measured.
    """
    panels = [p for p in _panels(sources) if p.points]
    if not panels:
        return
    study = sources.record
    pair: tuple[int | None, int] = (0, 1) if len(study.objectives) > 1 else (None, 0)
    traces: list[Trace] = []
    views = []
    for number, panel in enumerate(panels):
        drawn = [*_traces(sources, panel, pair)]
        traces += [{**trace, "visible": number == 0} for trace in drawn]
        name = scenario_text(study.search_space, panel.scenario) or "all"
        views.append(View(name, frozenset(range(len(traces) - len(drawn), len(traces)))))
    traces.append(_cheapest())
    across, up = pair
    metrics = [o.metric for o in study.objectives]
    points = [p for panel in panels for p in panel.points]
    axes = {
        axis: _axis([p.values[index] for p in points])
        for axis, index in (("xaxis", across), ("yaxis", up))
        if index is not None
    }
    plot = theme.plot(
        x="trial" if across is None else title(metrics[across]),
        y=title(metrics[up]),
        height=HEIGHT,
        traces=traces,
        meta={"log_switch": ["y"] if across is None else ["x", "y"]},
        margin={"t": 64, "b": 48},
        **axes,
    )
    offered = _offered(sources, points)
    names = [METRICS[metrics[i]].label for i in pair if i is not None]
    yield Figure(
        "answer-front",
        " and ".join(names) + " of what was measured",
        "A mark is a configuration with its 95 % intervals.",
        plot,
        _table(sources, panels, offered),
        views=tuple(views),
        choice="For",
        bounds=_bounds(sources, panels, offered, tuple(view.name for view in views)),
    )


def _panels(sources: Sources) -> Sequence[ScenarioPanel]:
    study, summary = sources.record, sources.summary
    panels = scenario_panels(study, summary, sources.findings)
    if not panels:
        data = front_data(study, summary)
        points = tuple(p for p in data.points if p.place != "invalid")
        return (ScenarioPanel(Configuration(()), len(study.trials), points, (), data.baseline),)
    headline = summary.headline
    about = None if headline is None else headline.scenario
    return sorted(panels, key=lambda panel: panel.scenario != about)


def _axis(values: Sequence[float]) -> dict[str, object]:
    numbers = np.array(values)
    return {"type": scale([numbers]) if (numbers > 0).all() else "linear", "nticks": 7}


def _traces(
    sources: Sources, panel: ScenarioPanel, pair: tuple[int | None, int]
) -> Iterator[Trace]:
    study = sources.record
    across, up = pair
    if across is not None:
        yield edge(boundary(panel.points, study.objectives, (across, up)), (across, up))
    for place, mark in MARKS.items():
        if points := [p for p in panel.points if p.place == place]:
            trace = marks(study, mark, [of_point(study, p) for p in points], pair)
            yield {**trace, "ids": [str(p.trial) for p in points]}
    recommended = [p for p in panel.points if sources.summary.recommends(p.configuration)]
    baseline = [] if panel.baseline is None else [panel.baseline]
    for mark, chosen in ((BASELINE, baseline), (RECOMMENDED, recommended)):
        if chosen:
            trace = marks(study, mark, [of_point(study, p) for p in chosen], pair, bars=False)
            yield {**trace, "ids": [str(p.trial) for p in chosen]}


def _cheapest() -> Trace:
    """A ring, empty until a reader gives a bound."""
    return {
        "type": "scatter",
        "x": [],
        "y": [],
        "mode": "markers",
        "name": _CHEAPEST,
        "visible": False,
        "hoverinfo": "skip",
        "marker": {
            "color": theme.VERMILION,
            "symbol": "circle-open",
            "size": 24,
            "line": {"width": 3, "color": theme.VERMILION},
        },
    }


def _offered(sources: Sources, points: Sequence[PlacedConfiguration]) -> tuple[str, ...]:
    """The metrics that can be bounded: the study's own bounds first."""
    study = sources.record
    names = (
        *(c.metric for c in study.constraints if c.metric not in _NAMED_LAST),
        *_NAMED_FIRST,
        *(o.metric for o in study.objectives),
        *_OTHERS,
        *_NAMED_LAST,
    )
    pooled = [sources.summary.pooled[p.trial] for p in points if p.trial in sources.summary.pooled]
    return tuple(
        name
        for name in dict.fromkeys(names)
        if name in METRICS and any(_value(study, p, name) is not None for p in pooled)
    )


def _value(study: StudyRecord, pooled: Pooled, metric: str) -> Estimate | None:
    """A metric of a configuration, averaged over its bursts as the front has it."""
    objectives = [o.metric for o in study.objectives]
    if metric in objectives and pooled.bursts:
        return pooled.estimate(objectives.index(metric))
    return average_of_metric(study, metric, pooled.bursts)


def _bounds(
    sources: Sources,
    panels: Sequence[ScenarioPanel],
    offered: Sequence[str],
    places: tuple[str, ...],
) -> Bounds:
    study, summary = sources.record, sources.summary
    eligible = [
        (place, p.trial, summary.pooled[p.trial])
        for place, panel in zip(places, panels, strict=True)
        for p in panel.points
        if p.place in ("front", "dominated")
    ]

    def cost(configuration: Configuration) -> tuple[bool, Reservation]:
        return idle_replicas(study, configuration) > 0, reservation(study, configuration)

    ranks = sorted({cost(pooled.configuration) for _, _, pooled in eligible})
    own = {c.metric: c.bound for c in study.constraints}
    points = {}
    for place, trial, pooled in eligible:
        values = [_value(study, pooled, metric) for metric in offered]
        points[str(trial)] = BoundedPoint(
            place,
            deployment_text(study.search_space, study.decision_of(pooled.configuration)),
            ranks.index(cost(pooled.configuration)),
            tuple(None if v is None else v.value for v in values),
            tuple("-" if v is None else interval(v) for v in values),
        )
    metrics = tuple(
        BoundedMetric(
            METRICS[name].label,
            METRICS[name].unit,
            METRICS[name].better == "minimize",
            own.get(name),
        )
        for name in offered
    )
    return Bounds(metrics, places, points)


def _table(sources: Sources, panels: Sequence[ScenarioPanel], offered: Sequence[str]) -> Table:
    study, pooled = sources.record, sources.summary.pooled
    named = len(panels) > 1
    objectives = [o.metric for o in study.objectives]
    shown = dict.fromkeys([*objectives, *(m for m in offered if m in _NAMED_FIRST)])
    rows = []
    for panel in panels:
        for p in sorted(panel.points, key=lambda p: (p.place != "front", p.values)):
            values = (_value(study, pooled[p.trial], metric) for metric in shown)
            rows.append(
                (
                    trial_link(p.trial),
                    *([str(panel.scenario)] if named else []),
                    deployment_column(study.search_space, study.decision_of(p.configuration)),
                    *("-" if v is None else interval(v) for v in values),
                    MARKS[p.place].label,
                )
            )
    return Table(
        ("trial", *(["scenario"] if named else []), "deploy", *map(title, shown), "place"),
        tuple(rows),
        "What was measured, with 95 % intervals",
    )
