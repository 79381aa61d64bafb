"""Which trials of a study are exported."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tuner.analysis.summary import summarise
from tuner.errors import InputError
from tuner.record import StudyRecord, TrialRecord
from tuner.spec.metrics import METRICS


def pick(study: StudyRecord, choice: str) -> tuple[TrialRecord, ...]:
    """The feasible trials that `choice` means, sorted by number.

    `knee` is the recommended point of the overall front, `all` every trial of the overall front
    and of the scenario fronts, a number that trial. Raises InputError for any other choice, for a
    trial that is not there or infeasible, and where nothing is feasible.
    """
    if re.fullmatch(r"[0-9]{1,18}", choice):
        return (_numbered(study, int(choice)),)
    if choice not in {"knee", "all"}:
        raise InputError(
            f"cannot pick {choice!r}: expected knee, all or a trial's number",
            "knee is the recommended trial, all are those of every front",
        )
    summary = summarise(study)
    if summary.knee is None:
        raise InputError(
            f"study {study.name!r} has no feasible trial among its {len(study.trials)}",
            "run more trials, or relax the study's constraints",
        )
    if choice == "knee":
        return (summary.knee,)
    fronts = (summary.front, *(scenario.front for scenario in summary.scenarios))
    chosen = {trial.number: trial for front in fronts for trial in front}
    return tuple(chosen[number] for number in sorted(chosen))


def only(trials: Sequence[TrialRecord]) -> TrialRecord:
    """The one trial picked, for a format that holds exactly one. Raises InputError otherwise."""
    if len(trials) == 1:
        return trials[0]
    numbers = ", ".join(str(t.number) for t in trials)
    raise InputError(
        f"this format holds exactly one configuration, and {len(trials)} trials are picked"
        + (f": {numbers}" if trials else ""),
        "pick one: knee, or a trial's number",
    )


def _numbered(study: StudyRecord, number: int) -> TrialRecord:
    trial = study.trial(number)
    if trial is None:
        numbers = [t.number for t in study.trials]
        there = f"its trials are {min(numbers)} to {max(numbers)}" if numbers else "it has none"
        raise InputError(
            f"study {study.name!r} has no finished trial {number}: {there}",
            "pick knee, all or the number of a finished trial",
        )
    if not trial.feasible:
        raise InputError(
            f"trial {number} is infeasible: {_why(study, trial)}",
            "pick knee, all or the number of a feasible trial",
        )
    if trial.cut_short:
        raise InputError(
            f"the burst of trial {number} was cut short, so it says little: {trial.cut_short}",
            f"measure it to the end (tune run --study {study.name} --repeat {number}), or pick"
            " knee or all",
        )
    return trial


def _why(study: StudyRecord, trial: TrialRecord) -> str:
    if trial.outcome == "infeasible":
        return ": ".join(filter(None, (trial.reason, trial.detail))) or "it could not serve"
    units = {str(c): METRICS[c.metric].unit for c in study.constraints}
    return "it breaks " + ", ".join(
        f"{text} by {violation:.4g} {units.get(text, '')}".rstrip()
        for text, violation in trial.violations.items()
        if violation > 0
    )
