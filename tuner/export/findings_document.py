"""A study's fronts, measured and predicted, and its findings as plain data: `tune show --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tuner.export import trial_documents
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.chosen import ChosenConfiguration, chosen_configurations
from tuner.results.findings import Findings, FrontFindings, find
from tuner.results.pooled import Pooled
from tuner.results.predicted_front import Predicted
from tuner.results.summary import Summary, summarise


def document(study: StudyRecord) -> dict[str, Any]:
    """The document of all trials, with `fronts` and `findings`.

    `findings` is None where there are too few measurements for a model.
    """
    summary, findings = summarise(study), find(study)
    whole = trial_documents.trials_document(study, study.trials)
    return {
        **whole,
        "trials": [
            {**plain, **_of_search(trial)}
            for plain, trial in zip(whole["trials"], study.trials, strict=True)
        ],
        "expected": None if study.expected is None else dict(study.expected),
        "recommended": [
            _recommended(study, choice)
            for choice in chosen_configurations(study, summary, findings).scenarios
        ],
        "fronts": {
            "overall": _front(study, summary.front, summary),
            "scenarios": [
                {"scenario": dict(s.scenario), **_front(study, s.front, summary)}
                for s in summary.scenarios
            ],
            "unstable": [
                {"trial": p.representative.number, "reason": p.unstable} for p in summary.unstable
            ],
        },
        "findings": None if findings is None else _findings(study, findings),
    }


def trial_document(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """The document of one trial, with what the search recorded about it."""
    whole = trial_documents.trials_document(study, [trial])
    return {**whole, "trials": [{**whole["trials"][0], **_of_search(trial)}]}


def numbered_document(study: StudyRecord, number: int) -> dict[str, Any]:
    """The same of finished trial `number`, under `record` all that is kept of it, and under
    `failed` why it says nothing where it failed.
    """
    failed = next((f for f in study.failed if f.number == number), None)
    trial = study.trial(number) if failed is None else failed.record
    whole = {} if trial is None else {**trial_document(study, trial), "record": trial.to_json()}
    if failed is None:
        return whole
    return {
        "study": study.name,
        **whole,
        "failed": {
            "trial": failed.number,
            "configuration": dict(failed.configuration),
            "reason": failed.reason,
        },
    }


def _of_search(trial: TrialRecord) -> dict[str, Any]:
    saved = trial.measurement.saved_seconds if trial.measurement else 0.0
    return {
        "why": dict(trial.why),
        "stayed": trial.stayed,
        "cut_short": trial.cut_short or None,
        "saved_seconds": saved,
        "seconds": trial.seconds,
        "eligible": trial.eligible,
    }


def _recommended(study: StudyRecord, choice: ChosenConfiguration) -> dict[str, Any]:
    """What to deploy in a scenario, as `tuner.pages.what_to_deploy` says it."""
    recommendation = choice.recommendation
    assert recommendation is not None
    return {
        "scenario": dict(choice.scenario),
        "decision": dict(study.decision_of(choice.configuration)),
        "trial": choice.trial,
        "bursts": choice.bursts,
        "chance": recommendation.chance if recommendation.modelled else None,
        "settled": recommendation.settled,
        "objectives": {
            o.metric: {"value": e.value, "low": e.low, "high": e.high}
            for o, e in zip(study.objectives, choice.values, strict=True)
        },
        "reserved": asdict(choice.reserved),
        "equals": [dict(study.decision_of(c)) for c in recommendation.equals],
    }


def _front(
    study: StudyRecord,
    front: Sequence[TrialRecord],
    summary: Summary,
) -> dict[str, Any]:
    return {
        "front": [_pooled(study, summary.pooled[t.number]) for t in front],
    }


def _pooled(study: StudyRecord, pooled: Pooled) -> dict[str, Any]:
    estimates = {o.metric: pooled.estimate(i) for i, o in enumerate(study.objectives)}
    return {
        "trial": pooled.representative.number,
        "bursts": [t.number for t in pooled.bursts],
        "objectives": {
            name: {"value": e.value, "low": e.low, "high": e.high} for name, e in estimates.items()
        },
    }


def _findings(study: StudyRecord, findings: Findings) -> dict[str, Any]:
    robust, serving = findings.robust, findings.serving
    return {
        "candidates": findings.candidates,
        "whole_space": findings.whole,
        "between_bursts": dict(findings.between),
        "overall": _predicted_front(study, findings.overall, findings),
        "scenarios": [_predicted_front(study, f, findings) for f in findings.scenarios],
        "least_regret": robust
        and {
            **asdict(robust),
            "decision": dict(robust.decision),
            "scenario": dict(robust.scenario),
            "by_scenario": [
                {"scenario": dict(scenario), "regret": regret}
                for scenario, regret in robust.by_scenario
            ],
        },
        "most_serving": serving
        and {
            **asdict(serving),
            "decision": dict(serving.decision),
            "fails": [dict(s) for s in serving.fails],
        },
        "open": {
            "doubtful": findings.doubtful,
            "trials_to_settle": findings.settling.trials,
            "course": [{"trials": n, "open_fronts": left} for n, left in findings.settling.course],
            "next": [dict(c) for c in findings.next],
        },
    }


def _predicted_front(
    study: StudyRecord, front: FrontFindings, findings: Findings
) -> dict[str, Any]:
    return {
        "scenario": None if front.scenario is None else dict(front.scenario),
        "hypervolume_relative_sd": front.uncertainty,
        "predicted_front": [_predicted(study, p, findings) for p in front.predicted_front],
        "measured": [_predicted(study, p, findings) for p in front.measured.values()],
    }


def _predicted(study: StudyRecord, prediction: Predicted, findings: Findings) -> dict[str, Any]:
    bounds = zip(study.objectives, prediction.values, prediction.low, prediction.high, strict=True)
    return {
        "configuration": dict(prediction.configuration),
        "trials": list(findings.trials.get(prediction.configuration, ())),
        "objectives": {o.metric: {"value": v, "low": a, "high": b} for o, v, a, b in bounds},
        "on_front": prediction.on_front,
        "feasible": prediction.feasible,
    }
