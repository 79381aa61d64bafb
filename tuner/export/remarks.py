"""What the study's model says against a pick, or what the pick left open."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.findings import DOUBTFUL, Findings, FrontFindings


def remarks(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    findings: Findings | None,
    when: str | None,
    *,
    listed: bool = False,
) -> list[str]:
    """Remarks for the user about the picked trials.

    A trial off the predicted front is named where it is the only pick, or where its probability P
    to be on that front is below 0.2. The remark has P and the configuration that is most likely on
    that front.
    `listed` says that the user named the trials.
    """
    lines = []
    scenarios = {study.scenario_of(t.configuration) for t in study.trials}
    if when is None and not listed and len(trials) == 1 and len(scenarios) > 1:
        own = study.scenario_of(trials[0].configuration)
        lines.append(
            f"trial {trials[0].number} belongs to one of {len(scenarios)} scenarios, {own}."
            " To export for another one, name it with --when, as in"
            f" --when {str(own).replace(' ', ',')}"
        )
    if findings is None:
        return lines
    for trial in trials:
        own = study.scenario_of(trial.configuration)
        front = next((f for f in findings.scenarios if f.scenario == own), findings.overall)
        lines += _doubt(study, front, findings, trial, alone=len(trials) == 1)
    return lines


def _doubt(
    study: StudyRecord, front: FrontFindings, findings: Findings, trial: TrialRecord, *, alone: bool
) -> list[str]:
    judged = front.measured.get(trial.configuration)
    if judged is None or not front.predicted_front:
        return []
    predicted = {p.configuration for p in front.predicted_front}
    if trial.configuration in predicted or (judged.on_front >= DOUBTFUL[0] and not alone):
        return []
    best = max(front.predicted_front, key=lambda p: p.on_front)
    measured = findings.trials.get(best.configuration, ())
    where = f"trial {', '.join(map(str, measured))}" if measured else "not measured"
    chosen = best.configuration
    if front.scenario is not None:
        chosen = study.decision_of(chosen)
    return [
        (
            f"trial {trial.number} is on the front of its scenario with probability"
            f" {judged.on_front:.2f}. The configuration that is there most likely is {chosen}"
            f" ({where}), with probability {best.on_front:.2f}"
        )
    ]
