"""`tune show`: a study, or one of its trials in full."""

from __future__ import annotations

import json
from typing import Any

from tuner.cli.study_page import show_study
from tuner.cli.trial_page import show_failed, show_trial
from tuner.errors import InputError
from tuner.export.findings import document, trial_document
from tuner.measure.record import FailedTrial, StudyRecord, TrialRecord


def show(study: StudyRecord, number: int | None, *, as_json: bool) -> None:
    """Print the study, or trial `number` of it. Raises InputError where there is none."""
    if number is None:
        if as_json:
            _print(document(study))
        else:
            show_study(study)
        return
    failed = next((f for f in study.failed if f.number == number), None)
    found = study.trial(number)
    if failed is not None:
        if as_json:
            _print(_failed(study, failed))
        else:
            show_failed(study, failed)
    elif found is None:
        numbers = f"0 to {study.trials[-1].number}" if study.trials else "there are none"
        raise InputError(
            f"study {study.name!r} has no finished trial {number}", f"trials: {numbers}"
        )
    elif as_json:
        _print(_whole(study, found))
    else:
        show_trial(study, found)


def _whole(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """What is said of a trial, and under `record` all that is kept of it."""
    return {**trial_document(study, trial), "record": trial.to_json()}


def _failed(study: StudyRecord, trial: FailedTrial) -> dict[str, Any]:
    whole = {} if trial.record is None else _whole(study, trial.record)
    return {
        "study": study.name,
        **whole,
        "failed": {
            "trial": trial.number,
            "configuration": dict(trial.configuration),
            "reason": trial.reason,
        },
    }


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))
