"""What the study's model says against a pick, or what the pick left open."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.findings import DOUBTFUL, Findings, FrontFindings


def remarks(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    found: Findings | None,
    when: str | None,
    *,
    listed: bool = False,
) -> list[str]:
    """Lines for people; none where there is nothing to say.

    A single pick that the model does not recommend, and any that it thinks is hardly on the front
    (P below 0.2), is named with its P and with what is recommended. `listed` says that the user
    named the trials.
    """
    lines = []
    scenarios = {study.scenario_of(t.configuration) for t in study.trials}
    if when is None and not listed and len(trials) == 1 and len(scenarios) > 1:
        own = study.scenario_of(trials[0].configuration)
        lines.append(
            f"trial {trials[0].number} is of the scenario {own}, one of {len(scenarios)}:"
            f" --when {str(own).replace(' ', ',')} picks within it, other values in another"
        )
    if found is None:
        return lines
    for trial in trials:
        own = study.scenario_of(trial.configuration)
        front = next((f for f in found.scenarios if f.scenario == own), found.overall)
        lines += _doubt(study, front, found, trial, alone=len(trials) == 1)
    return lines


def _doubt(
    study: StudyRecord, front: FrontFindings, found: Findings, trial: TrialRecord, *, alone: bool
) -> list[str]:
    judged = front.measured.get(trial.configuration)
    if judged is None or not front.predicted_front:
        return []
    predicted = {p.configuration for p in front.predicted_front}
    if trial.configuration in predicted or (judged.on_front >= DOUBTFUL[0] and not alone):
        return []
    best = max(front.predicted_front, key=lambda p: p.on_front)
    measured = found.trials.get(best.configuration, ())
    where = f"trial {', '.join(map(str, measured))}" if measured else "not measured"
    chosen = best.configuration
    if front.scenario is not None:
        chosen = study.decision_of(chosen)
    what = f"trial {trial.number} P = {judged.on_front:.2f} of being on the front"
    return [f"the model gives {what}; it recommends {chosen} ({where}, P = {best.on_front:.2f})"]
