"""The JSON documents of plan, check, list, models and confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tuner.measure.record import StudyRecord
from tuner.results.confirmation import Confirmation, Confirmed
from tuner.serving.model_facts import ModelFacts
from tuner.spec.study import StudySpec
from tuner.study.check_line import Check
from tuner.study.plan import Plan
from tuner.study.storage import StudySummary

# History of the format of plan, check, list and models: 1 (first).
FORMAT = 1


def plan_document(spec: StudySpec, plan: Plan) -> dict[str, Any]:
    """Sizes, and times in seconds; what cannot be told is None."""
    return {
        "format": FORMAT,
        "study": spec.name,
        "parameters": [
            {
                "name": p.name,
                "role": p.role,
                "unit": p.unit,
                "values": None if (values := p.values()) is None else list(values),
                "low": p.low,
                "high": p.high,
                "when": None if p.when is None else str(p.when),
            }
            for p in spec.search_space
        ],
        **asdict(plan),
        "grid_seconds": plan.grid_seconds,
        "ordered_seconds": plan.ordered_seconds,
        "budget_seconds": plan.budget_seconds,
        "search_seconds": plan.search_seconds,
        "grid_is_cheaper": plan.grid_is_cheaper,
        "sampler": spec.search.sampler,
        "seed": spec.seed,
    }


def check_document(spec: StudySpec, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "study": spec.name,
        "ok": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def list_document(studies: Sequence[tuple[str, Sequence[StudySummary]]]) -> dict[str, Any]:
    """`trials` has what the databases of a study hold; none where it was not run."""
    return {
        "format": FORMAT,
        "studies": [
            {
                "study": name,
                "trials": [
                    {"backend": s.backend, "complete": s.complete, "running": s.running}
                    for s in held
                ],
            }
            for name, held in studies
        ],
    }


def models_document(models: Sequence[ModelFacts]) -> dict[str, Any]:
    return {"format": FORMAT, "models": [asdict(model) for model in models]}


def confirmation_document(study: StudyRecord, confirmation: Confirmation) -> dict[str, Any]:
    """The pooled bursts of each candidate, and how the fronts changed."""
    return {
        "study": study.name,
        "trials": list(confirmation.trials),
        "baseline": confirmation.baseline and _confirmed(study, confirmation.baseline),
        "candidates": [_confirmed(study, row) for row in confirmation.candidates],
        "changes": [
            {
                "scenario": None if change.scenario is None else dict(change.scenario),
                "lost": [t.number for t in change.lost],
                "gained": [t.number for t in change.gained],
                "size": change.size,
            }
            for change in confirmation.changes
        ],
    }


def _confirmed(study: StudyRecord, row: Confirmed) -> dict[str, Any]:
    return {
        "trial": row.trial,
        "configuration": dict(row.configuration),
        "bursts": row.bursts,
        "objectives": {
            o.metric: {"value": e.value, "low": e.low, "high": e.high}
            for o, e in zip(study.objectives, row.estimates, strict=True)
        },
        "on_front_before": row.before,
        "on_front": row.after,
        "status": row.status,
        "reason": row.reason,
    }
