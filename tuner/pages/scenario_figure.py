"""The fronts of the scenarios, one small panel each, all with the same axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuner.measure.record import StudyRecord
from tuner.pages import theme
from tuner.pages.blocks import Figure, Link, Table
from tuner.pages.marks import (
    BASELINE,
    MARKS,
    PREDICTED,
    Drawn,
    Mark,
    columns_of,
    edge,
    error,
    foldable,
    marks,
    of_point,
    of_prediction,
    predicted_estimates,
    trial_link,
    values_of,
)
from tuner.pages.panel_grid import AROUND, grid, wrapped
from tuner.pages.panels import scale
from tuner.pages.sources import Sources
from tuner.pages.theme import Trace
from tuner.results.findings import Findings
from tuner.results.places import PlacedConfiguration, boundary, point_of
from tuner.results.pooled import Pooled
from tuner.results.predicted_front import Predicted
from tuner.results.summary import Summary
from tuner.results.wording import interval
from tuner.spec.metrics import title
from tuner.spec.space import Configuration

if TYPE_CHECKING:
    import plotly.graph_objects as go


MOST_PANELS = 12


@dataclass(frozen=True)
class ScenarioPanel:
    """One scenario: its measured configurations with their place there, and what the model
    predicts. `baseline` are the defaults there, None where it was not measured.
    `trials` counts all that were made there.
    """

    scenario: Configuration
    trials: int
    points: tuple[PlacedConfiguration, ...]
    predicted_front: tuple[Predicted, ...]
    baseline: PlacedConfiguration | None


def scenario_panels(
    study: StudyRecord, summary: Summary, findings: Findings | None
) -> tuple[ScenarioPanel, ...]:
    """A panel per scenario, in the order of the search space."""
    of_model = {f.scenario: f for f in findings.scenarios} if findings is not None else {}
    decision_of = study.decision_of
    defaults = decision_of(study.search_space.baseline())
    groups: dict[Configuration, list[Pooled]] = {s.scenario: [] for s in summary.scenarios}
    for pooled in summary.pooled.values() if groups else ():
        groups[study.scenario_of(pooled.configuration)].append(pooled)
    panels = []
    for scenario in summary.scenarios:
        on_front = {t.configuration for t in scenario.front}
        in_scenario = groups[scenario.scenario]
        points = tuple(
            p for pooled in in_scenario if (p := point_of(study, pooled, on_front)) is not None
        )
        model = of_model.get(scenario.scenario)
        panels.append(
            ScenarioPanel(
                scenario.scenario,
                scenario.measured,
                points,
                model.predicted_front if model is not None else (),
                next((p for p in points if decision_of(p.configuration) == defaults), None),
            )
        )
    return tuple(panels)


def shown(panels: Sequence[ScenarioPanel], most: int = MOST_PANELS) -> tuple[ScenarioPanel, ...]:
    """At most `most` panels: those with most trials, in the order given."""
    ranked = sorted(range(len(panels)), key=lambda i: (-panels[i].trials, i))[:most]
    return tuple(panels[i] for i in sorted(ranked))


_SCALE = 0.75
"""Of the marks' usual size."""
_TITLE = 24
"""Characters that a line above a panel has room for."""


def scenario_figure(sources: Sources, panels: Sequence[ScenarioPanel]) -> Figure:
    """The fronts of the `MOST_PANELS` scenarios with most trials. The table has all scenarios."""
    drawn = shown(panels)
    single = len(sources.record.objectives) == 1
    plot = _strip(sources, drawn) if single else _panels(sources, drawn)
    said = [
        "What was measured in each scenario, and the front that the model predicts there:"
        " the averages that many bursts would give, with 95 % intervals."
        if sources.findings is not None
        else "What was measured in each scenario, with 95 % intervals.",
        "" if single else "All panels have the same axes.",
        "The search space's defaults are marked where they were measured.",
    ]
    if len(sources.record.objectives) > 2:
        said.append("Of the objectives the first two are drawn; the table has all.")
    if len(drawn) < len(panels):
        said.append(
            f"Drawn are the {len(drawn)} scenarios with most trials, of {len(panels)};"
            " the table has all."
        )
    return Figure(
        "scenario-fronts",
        "The front of each scenario",
        " ".join(filter(None, said)),
        plot,
        scenario_table(sources.record, sources.findings, panels),
    )


def _panels(sources: Sources, drawn: Sequence[ScenarioPanel]) -> go.Figure:
    x, y = (title(o.metric) for o in sources.record.objectives[:2])
    titles = [_heading(panel.scenario) for panel in drawn]
    return grid(titles, [[*_traces(sources, panel)] for panel in drawn], x=x, y=y)


def _traces(sources: Sources, panel: ScenarioPanel) -> Iterator[Trace]:
    study, pair = sources.record, (0, 1)
    yield edge(boundary(panel.points, study.objectives, pair), pair)
    for mark, drawn, bars in _marked(sources, panel):
        yield marks(study, mark, drawn, pair, bars=bars, scale=_SCALE)


def _marked(sources: Sources, panel: ScenarioPanel) -> Iterator[tuple[Mark, list[Drawn], bool]]:
    """For each kind of point in a scenario: its mark, its points, whether intervals are drawn."""
    study = sources.record
    for place, mark in MARKS.items():
        if drawn := [of_point(study, p) for p in panel.points if p.place == place]:
            yield mark, drawn, place == "front"
    if panel.predicted_front:
        yield PREDICTED, [of_prediction(study, p) for p in panel.predicted_front], True
    if panel.baseline is not None:
        yield BASELINE, [of_point(study, panel.baseline)], False


def _strip(sources: Sources, drawn: Sequence[ScenarioPanel]) -> go.Figure:
    """The figure for a single objective: a line per scenario."""
    metric = sources.record.objectives[0].metric
    seen: set[str] = set()
    traces = []
    for panel in drawn:
        for mark, points, bars in _marked(sources, panel):
            trace = marks(sources.record, mark, points, (0, 0), bars=False)
            trace |= {
                "y": [_heading(panel.scenario)] * len(points),
                "showlegend": mark.label not in seen,
            }
            if bars:
                trace["error_x"] = error(mark, [d.estimates[0] for d in points])
            seen.add(mark.label)
            traces.append(trace)
    values = np.concatenate([trace["x"] for trace in traces])
    return theme.plot(
        x=title(metric),
        y="",
        height=AROUND + 34 * len(drawn),
        traces=traces,
        xaxis={"type": scale([values]) if (values > 0).all() else "linear"},
        yaxis={"type": "category", "autorange": "reversed", "ticksuffix": " "},
        meta={"log_switch": ["x"]},
        margin={"t": 76},
    )


def _heading(scenario: Configuration) -> str:
    return wrapped(str(scenario), _TITLE) or "no scenario parameter"


def scenario_table(
    study: StudyRecord, findings: Findings | None, panels: Sequence[ScenarioPanel]
) -> Table:
    """The front of each scenario: measurements beside the model's predictions."""
    metrics = [title(o.metric) for o in study.objectives]
    parameters = columns_of(study)
    columns = [*parameters, "trial", *metrics, "place"]
    priorities = [*[3] * len(parameters), 0, *[0 if findings is None else 2] * len(metrics), 4]
    if findings is not None:
        # Whatever was measured is predicted too.
        columns += [*(f"{metric}, predicted" for metric in metrics), "P"]
        priorities += [*[0] * len(metrics), 0]
    rows = [row for panel in panels for row in _rows(study, findings, panel)]
    return Table(
        tuple(columns),
        tuple(rows),
        _heading_of(findings),
        priorities=tuple(priorities),
        foldable=foldable(parameters, 0),
    )


def _heading_of(findings: Findings | None) -> str:
    if findings is None:
        return "Front of each scenario, as measured"
    which = "" if findings.whole else ": those measured, in every scenario"
    return (
        "Front of each scenario, as measured and as predicted"
        f" (of {findings.candidates:,} configurations{which})"
    )


def _rows(
    study: StudyRecord, findings: Findings | None, panel: ScenarioPanel
) -> Iterator[tuple[str | Link, ...]]:
    measured = {p.configuration: p for p in panel.points}
    predicted = {p.configuration: p for p in panel.predicted_front}
    chosen = dict.fromkeys(
        [*(p.configuration for p in panel.points if p.place == "front"), *predicted]
    )
    nothing = ("-",) * len(study.objectives)
    for configuration in chosen:
        point = measured.get(configuration)
        prediction = predicted.get(configuration) or (
            findings and findings.predicted(configuration)
        )
        cells: list[str | Link] = [*values_of(study, configuration, units=False)]
        cells += ["-" if point is None else trial_link(point.trial)]
        cells += nothing if point is None else map(interval, point.estimates)
        cells += [_place(point, configuration in predicted)]
        if findings is not None:
            cells += map(interval, predicted_estimates(prediction)) if prediction else nothing
            cells += [f"{prediction.on_front:.2f}" if prediction else "-"]
        yield tuple(cells)


def _place(point: PlacedConfiguration | None, predicted_estimates: bool) -> str:
    said = [] if point is None else [MARKS[point.place].label]
    return ", ".join(said + ([PREDICTED.label] if predicted_estimates else []))
