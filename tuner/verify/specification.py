"""Makes the specification of a recorded study, so that it can be run again on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tuner.errors import InputError
from tuner.measure.record import StudyRecord
from tuner.spec.load import load_model
from tuner.spec.study import Budget, LoadSpec, ModelSpec, SearchSpec, ServingSpec, StudySpec


def specification_of(study: StudyRecord, root: Path | None = None) -> StudySpec:
    """What the study was run with, whatever its study.yaml says by now; the model is looked up.

    Its deployments do not stay up: each burst gets a new one.

    Raises InputError where the model is not on this machine, or the record does not have its load.
    """
    held = study.specification
    if "load" not in held:
        raise InputError(
            f"the record of study {study.name!r} does not say which load it sent",
            "run the study again with this version",
        )
    model = load_model(study.model, root)
    return StudySpec(
        name=study.name,
        description=str(held.get("description", "")),
        path=Path(study.name),
        model=replace(
            model, **_fields_in(ModelSpec, held.get("model", {}), "signature", "tolerance")
        ),
        search_space=study.search_space,
        serving=ServingSpec(**_fields_in(ServingSpec, study.serving)),
        load=LoadSpec(**_fields_in(LoadSpec, held["load"])),
        objectives=study.objectives,
        constraints=study.constraints,
        budget=Budget(),
        seed=int(held.get("seed", 0)),
        search=SearchSpec(stay=False),
    )


def _fields_in(kind: type, document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The fields of a specification, or those named, that the document has."""
    wanted = names or tuple(f.name for f in fields(kind))
    return {name: document[name] for name in wanted if name in document}
