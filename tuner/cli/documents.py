"""The JSON documents of verbs about no single study's results: plan, check, list, models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tuner.cli.models_page import ModelFacts
from tuner.spec.study import StudySpec
from tuner.study.check import Check
from tuner.study.plan import Plan
from tuner.study.storage import StudySummary

# History of these documents' format: 1 (first).
FORMAT = 1


def print_document(document: Mapping[str, Any]) -> None:
    """The only thing on standard output; a number that JSON does not know is an error."""
    print(json.dumps({"format": FORMAT, **document}, indent=2, allow_nan=False))


def plan_document(spec: StudySpec, plan: Plan) -> dict[str, Any]:
    """Sizes, and times in seconds; what cannot be told is None."""
    return {
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
        "sampler": spec.search.sampler,
        "seed": spec.seed,
    }


def check_document(spec: StudySpec, found: Sequence[Check]) -> dict[str, Any]:
    return {
        "study": spec.name,
        "ok": all(check.ok for check in found),
        "checks": [asdict(check) for check in found],
    }


def list_document(studies: Sequence[tuple[str, Sequence[StudySummary]]]) -> dict[str, Any]:
    """`trials` has what the databases of a study hold; none where it was not run."""
    return {
        "studies": [
            {
                "study": name,
                "trials": [
                    {"backend": s.backend, "complete": s.complete, "running": s.running}
                    for s in held
                ],
            }
            for name, held in studies
        ]
    }


def models_document(models: Sequence[ModelFacts]) -> dict[str, Any]:
    return {"models": [asdict(model) for model in models]}
