"""The scenarios of a study as they are drawn, and the decisions on many of their fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.measure.record import StudyRecord
from tuner.model.regret import Robust
from tuner.pages.data.fronts import Point, point_of
from tuner.results.findings import Findings, candidates_of
from tuner.results.pooled import Pooled
from tuner.results.predicted_front import Predicted
from tuner.results.summary import Summary
from tuner.spec.space import Configuration

MOST_PANELS = 12


@dataclass(frozen=True)
class Panel:
    """One scenario: its measured configurations with their place there, and what the model
    recommends. `baseline` is the baseline's decision there, None where it was not measured.
    `trials` counts all that were made there.
    """

    scenario: Configuration
    trials: int
    points: tuple[Point, ...]
    predicted_front: tuple[Predicted, ...]
    baseline: Point | None


@dataclass(frozen=True)
class Decision:
    """A decision and the scenarios where it is on the front: as measured, by the trial that stands
    for it, and as the model recommends. `measured` counts the scenarios where it was measured to
    the end; `chance` is the mean probability that it is on those fronts, None without a model.
    """

    decision: Configuration
    measured: int
    on_front: Mapping[Configuration, int]
    predicted_front: tuple[Configuration, ...]
    chance: float | None

    @property
    def fronts(self) -> int:
        """How many scenarios have it on their front, in either way."""
        return len({*self.on_front, *self.predicted_front})


def panels(study: StudyRecord, summary: Summary, findings: Findings | None) -> tuple[Panel, ...]:
    """A panel per scenario, in the order of the search space."""
    of_model = {f.scenario: f for f in findings.scenarios} if findings is not None else {}
    decision_of = study.search_space.decision_of
    defaults = decision_of(study.search_space.baseline())
    groups: dict[Configuration, list[Pooled]] = {s.scenario: [] for s in summary.scenarios}
    for one in summary.pooled.values() if groups else ():
        groups[study.search_space.scenario_of(one.configuration)].append(one)
    found = []
    for scenario in summary.scenarios:
        on_front = {t.configuration for t in scenario.front}
        some = groups[scenario.scenario]
        points = tuple(p for one in some if (p := point_of(study, one, on_front)) is not None)
        model = of_model.get(scenario.scenario)
        found.append(
            Panel(
                scenario.scenario,
                scenario.measured,
                points,
                model.predicted_front if model is not None else (),
                next((p for p in points if decision_of(p.configuration) == defaults), None),
            )
        )
    return tuple(found)


def shown(some: Sequence[Panel], most: int = MOST_PANELS) -> tuple[Panel, ...]:
    """At most `most` of them: those with most trials, in the order given."""
    ranked = sorted(range(len(some)), key=lambda i: (-some[i].trials, i))[:most]
    return tuple(some[i] for i in sorted(ranked))


def decisions(
    study: StudyRecord, some: Sequence[Panel], findings: Findings | None
) -> tuple[Decision, ...]:
    """The decisions that are on any scenario's front, those on most of them first."""
    measured: dict[Configuration, set[Configuration]] = {}
    on_front: dict[Configuration, dict[Configuration, int]] = {}
    predicted: dict[Configuration, dict[Configuration, float]] = {}
    for panel in some:
        for point in panel.points:
            decision = study.search_space.decision_of(point.configuration)
            if point.place in ("front", "dominated"):
                measured.setdefault(decision, set()).add(panel.scenario)
            if point.place == "front":
                on_front.setdefault(decision, {})[panel.scenario] = point.trial
    for model in findings.scenarios if findings is not None and some else ():
        for one in model.predicted_front:
            decision = study.search_space.decision_of(one.configuration)
            predicted.setdefault(decision, {})[model.scenario or Configuration(())] = one.on_front
    chances = _chances(study, on_front, predicted, findings)
    found = [
        Decision(
            decision,
            len(measured.get(decision, ())),
            on_front.get(decision, {}),
            tuple(predicted.get(decision, {})),
            chances.get(decision),
        )
        for decision in {**on_front, **predicted}
    ]
    return tuple(sorted(found, key=lambda d: (-d.fronts, -(d.chance or 0.0))))


def _chances(
    study: StudyRecord,
    on_front: Mapping[Configuration, Mapping[Configuration, int]],
    predicted: Mapping[Configuration, Mapping[Configuration, float]],
    findings: Findings | None,
) -> dict[Configuration, float]:
    """Of each decision the mean P(on the front) over the fronts it is on in either way."""
    known: dict[Configuration, dict[Configuration, float]] = {
        decision: dict(by_scenario) for decision, by_scenario in predicted.items()
    }
    for model in findings.scenarios if findings is not None else ():
        for configuration, one in model.measured.items():
            decision, scenario = study.search_space.decision_of(configuration), model.scenario
            if scenario is not None and scenario in on_front.get(decision, {}):
                known.setdefault(decision, {})[scenario] = one.on_front
    return {decision: float(np.mean(list(some.values()))) for decision, some in known.items()}


def regrets(
    study: StudyRecord, findings: Findings, robust: Robust
) -> tuple[tuple[Configuration, float], ...]:
    """Every scenario, and as a share the expected regret there of the least-regret decision."""
    scenarios = [f.scenario for f in findings.scenarios if f.scenario is not None]
    if len(scenarios) != len(robust.by_scenario):
        # Where all scenario parameters are inactive there is no scenario to speak of.
        scenarios = list(candidates_of(study).scenarios)
    return tuple(zip(scenarios, robust.by_scenario, strict=True))
