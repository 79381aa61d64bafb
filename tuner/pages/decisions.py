"""The decisions that do well in many scenarios, and the one with the least regret over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.measure.record import StudyRecord
from tuner.model.regret import Robust
from tuner.pages import theme
from tuner.pages.blocks import Block, Figure, Table, Words
from tuner.pages.marks import columns_of, foldable, trial_link, values_of
from tuner.pages.scenario_figure import ScenarioPanel
from tuner.results import in_words
from tuner.results.findings import Findings
from tuner.results.wording import percent
from tuner.spec.space import Configuration


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


def decisions_on_fronts(
    study: StudyRecord, panels: Sequence[ScenarioPanel], findings: Findings | None
) -> tuple[Decision, ...]:
    """The decisions on a front of any scenario, measured or predicted, by number of fronts."""
    measured: dict[Configuration, set[Configuration]] = {}
    on_front: dict[Configuration, dict[Configuration, int]] = {}
    predicted: dict[Configuration, dict[Configuration, float]] = {}
    for panel in panels:
        for point in panel.points:
            decision = study.decision_of(point.configuration)
            if point.place in ("front", "dominated"):
                measured.setdefault(decision, set()).add(panel.scenario)
            if point.place == "front":
                on_front.setdefault(decision, {})[panel.scenario] = point.trial
    for model in findings.scenarios if findings is not None and panels else ():
        for prediction in model.predicted_front:
            decision = study.decision_of(prediction.configuration)
            predicted.setdefault(decision, {})[model.scenario or Configuration(())] = (
                prediction.on_front
            )
    chances = _chances(study, on_front, predicted, findings)
    decisions = [
        Decision(
            decision,
            len(measured.get(decision, ())),
            on_front.get(decision, {}),
            tuple(predicted.get(decision, {})),
            chances.get(decision),
        )
        for decision in {**on_front, **predicted}
    ]
    return tuple(sorted(decisions, key=lambda d: (-d.fronts, -(d.chance or 0.0))))


def _chances(
    study: StudyRecord,
    on_front: Mapping[Configuration, Mapping[Configuration, int]],
    predicted: Mapping[Configuration, Mapping[Configuration, float]],
    findings: Findings | None,
) -> dict[Configuration, float]:
    """For each decision, its mean probability to be on the front.

    The mean is over the scenarios where the decision is on the measured or the predicted front.
    """
    chances: dict[Configuration, dict[Configuration, float]] = {
        decision: dict(by_scenario) for decision, by_scenario in predicted.items()
    }
    for model in findings.scenarios if findings is not None else ():
        for configuration, prediction in model.measured.items():
            decision, scenario = study.decision_of(configuration), model.scenario
            if scenario is not None and scenario in on_front.get(decision, {}):
                chances.setdefault(decision, {})[scenario] = prediction.on_front
    return {
        decision: float(np.mean(list(probabilities.values())))
        for decision, probabilities in chances.items()
    }


MOST_LISTED = 12


def decision_table(study: StudyRecord, decisions: Sequence[Decision]) -> Iterator[Block]:
    """The decisions by the number of scenario fronts that they are on."""
    if not decisions:
        return
    best = decisions[0]
    yield Words(
        f"On most fronts is {best.decision}: on those of {len(best.on_front)} of the"
        f" {best.measured} scenarios where it was measured to the end"
        + (
            f", and on the predicted fronts of {len(best.predicted_front)}."
            if best.chance is not None
            else "."
        )
    )
    more = f" (the first {MOST_LISTED} of {len(decisions)})" if len(decisions) > MOST_LISTED else ""
    yield Table(
        (
            *columns_of(study, among=study.decision_parameters),
            "fronts",
            "measured on",
            "of scenarios measured",
            "predicted on",
            "mean P",
            "such as trial",
        ),
        tuple(
            (
                *values_of(study, d.decision, units=False, among=study.decision_parameters),
                str(d.fronts),
                str(len(d.on_front)),
                str(d.measured),
                str(len(d.predicted_front)),
                "-" if d.chance is None else f"{d.chance:.2f}",
                trial_link(next(iter(d.on_front.values()))) if d.on_front else "-",
            )
            for d in decisions[:MOST_LISTED]
        ),
        "Decisions by the number of scenario fronts that they are on, as measured or as"
        f" predicted{more}; P is the mean probability that they are on those",
        foldable=foldable(study.decision_parameters, 0),
    )


def regret_blocks(study: StudyRecord, findings: Findings | None) -> Iterator[Block]:
    """The decision of least regret over all scenarios, and the one that serves in most."""
    if findings is None:
        return
    robust, serving = findings.robust, findings.serving
    if robust is not None:
        yield from _robust(robust)
    elif serving is not None:
        yield Words(in_words.NONE_SERVES, "doubt")
    if serving is not None:
        yield Words(in_words.serves_most(study, serving))


def _robust(robust: Robust) -> Iterator[Block]:
    yield Words(
        f"Least regret over all scenarios: {robust.decision}. {in_words.regret_sentences(robust)}",
        "lead",
    )
    regrets = robust.by_scenario
    names = [theme.plotly_text(str(scenario)) or "no scenario parameter" for scenario, _ in regrets]
    plot = theme.plot(x="expected regret (%)", y="", height=96 + 30 * len(regrets))
    plot.add_bar(
        x=[100 * share for _, share in regrets],
        y=names,
        orientation="h",
        marker={
            "color": theme.PREDICTED,
            "opacity": [1.0 if scenario == robust.scenario else 0.6 for scenario, _ in regrets],
        },
        text=[percent(share) for _, share in regrets],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )
    plot.update_yaxes(type="category", autorange="reversed", ticksuffix=" ")
    plot.update_layout(margin_r=48)
    yield Figure(
        "regret",
        "Regret of the least-regret decision in each scenario",
        f"By how much {robust.decision} is behind the best compromise of each scenario, as the"
        " model expects: in the objective where it is furthest off. It is worst most often in"
        f" {robust.scenario}. The regret at worst is more than any of these: where it is worst is"
        " not sure.",
        plot,
        Table(
            ("scenario", "expected regret"),
            tuple((str(scenario) or "-", percent(share)) for scenario, share in regrets),
            f"Regret of {robust.decision} by scenario",
        ),
    )
