"""How sure a pick is, and what would have been picked otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.recommendation import sureness
from tuner.results.summary import Summary
from tuner.results.wording import deployment_text
from tuner.spec.space import as_levels


def remarks(
    study: StudyRecord,
    summary: Summary,
    trials: Sequence[TrialRecord],
    when: str | None,
    *,
    listed: bool = False,
) -> list[str]:
    """Remarks for the user about a single picked trial; none about several.

    `when` is the scenario that was asked for. `listed` says that the user named the trial.
    """
    if len(trials) != 1:
        return []
    trial = trials[0]
    return [
        *_scenario(study, summary, trial, None if listed else when),
        *_recommended(study, summary, trial),
    ]


def _scenario(
    study: StudyRecord, summary: Summary, trial: TrialRecord, when: str | None
) -> Iterator[str]:
    own = study.scenario_of(trial.configuration)
    if when is None and len(summary.scenarios) > 1:
        other = next(s.scenario for s in summary.scenarios if s.scenario != own)
        yield (
            f"trial {trial.number} is for {own}, one of {len(summary.scenarios)} scenarios; name"
            f" another with --when, such as --when {as_levels(other)}"
        )


def _recommended(study: StudyRecord, summary: Summary, trial: TrialRecord) -> Iterator[str]:
    chosen = summary.recommendations.get(study.scenario_of(trial.configuration))
    if chosen is None:
        return
    sure = sureness(study, chosen)
    if chosen.configuration != trial.configuration:
        decision = deployment_text(study.search_space, study.decision_of(chosen.configuration))
        number = chosen.pooled.representative.number
        yield (
            f"trial {trial.number} is not what is recommended there; that is {decision} (trial"
            f" {number}), {sure}"
        )
    elif not chosen.settled:
        bursts = len(chosen.pooled.bursts)
        rests = "one burst" if bursts == 1 else f"{bursts} bursts"
        yield f"trial {trial.number} rests on {rests}: {sure}"
