"""Where an exported file comes from, in one line that a program can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tuner import __version__
from tuner.errors import InputError
from tuner.export.served import image_facts, image_of
from tuner.export.trial_documents import json_able
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.pooled import pooled
from tuner.results.predicted_front import Predicted
from tuner.spec.space import Configuration
from tuner.spec.yaml_loader import text_documents

PREFIX = "# tune.provenance: "
"""The beginning of the line, in every format that has comments."""

ANNOTATION = "tune/provenance"
"""The Kubernetes annotation that holds the same JSON."""

_EXPECTED = "expected a file that `tune export` wrote, with its comments"


@dataclass(frozen=True)
class Provenance:
    """What was exported and what it rests on.

    `objectives` are what all bursts of the configuration say together, with 95 % intervals, in the
    metrics' units; `predicted` what the study's model says that many bursts would give on average,
    empty where there is no model. `image_id` and `model_checksum` are None where nothing was run.
    `backend` is what measured it (`docker`, `simulated`, `replay`), `version` tune's, `measured`
    when (ISO 8601) and `host` where.
    """

    study: str
    trial: int
    configuration: Configuration
    objectives: Mapping[str, Estimate]
    image: str
    model: str
    model_checksum: str | None
    version: str
    backend: str
    image_id: str | None = None
    measured: str = ""
    host: Mapping[str, Any] = field(default_factory=dict)
    predicted: Mapping[str, Estimate] = field(default_factory=dict)

    def to_json(self) -> str:
        """The provenance as one line of ASCII."""
        document = {
            "study": self.study,
            "trial": self.trial,
            "model": self.model,
            "configuration": dict(self.configuration),
            "objectives": _written(self.objectives),
            "predicted": _written(self.predicted),
            "image": self.image,
            "image_id": self.image_id,
            "model_checksum": self.model_checksum,
            "version": self.version,
            "backend": self.backend,
            "measured": self.measured,
            "host": dict(self.host),
        }
        return json.dumps(json_able(document), allow_nan=False)

    def to_line(self) -> str:
        """The provenance as a comment for shell, YAML and environment files, without a line
        break.
        """
        return PREFIX + self.to_json()


def provenance(
    study: StudyRecord, trial: TrialRecord, predicted: Predicted | None = None
) -> Provenance:
    """The provenance of `trial`. `predicted` is the model's prediction for its configuration."""
    environment = study.environment
    host = environment.get("host")
    names = [o.metric for o in study.objectives]
    return Provenance(
        study=study.name,
        trial=trial.number,
        configuration=trial.configuration,
        objectives=_measured(study, trial),
        image=image_of(study, trial),
        model=study.model,
        model_checksum=_text(environment.get("model_checksum")),
        version=__version__,
        backend=backend_of(study, trial),
        image_id=_text(image_facts(study, trial).get("image_id")),
        measured=trial.started,
        host=dict(host) if isinstance(host, Mapping) else {},
        predicted={} if predicted is None else _estimates(names, predicted),
    )


def _measured(study: StudyRecord, trial: TrialRecord) -> dict[str, Estimate]:
    """The pooled values of all bursts of its configuration; where none was whole, its own."""
    measured = next(p for p in pooled(study) if trial.configuration == p.configuration)
    if measured.bursts:
        return {o.metric: measured.estimate(i) for i, o in enumerate(study.objectives)}
    stated = {o.metric: study.estimate(trial, o.metric) for o in study.objectives}
    return {name: estimate for name, estimate in stated.items() if estimate is not None}


def backend_of(study: StudyRecord, trial: TrialRecord) -> str:
    """The backend behind the figures. A trial replayed from a simulated grid is simulated."""
    replayed = study.environment.get("replayed") or {}
    return "simulated" if replayed.get("backend") == "simulated" else trial.backend


def read_provenance(text: str) -> Provenance:
    """The inverse of `Provenance.to_line`, from a whole file of any format that has it.

    The first such line counts, because texts of users come after it. Without one it is the first
    annotation of a Kubernetes object. Raises InputError where there is neither, or it is broken.
    """
    line = next((part for part in text.split("\n") if part.startswith(PREFIX)), None)
    encoded = _annotation(text) if line is None else line.removeprefix(PREFIX)
    if encoded is None:
        raise InputError("the file does not say which trial it comes from", _EXPECTED)
    try:
        document = json.loads(encoded)
        return Provenance(
            study=str(document["study"]),
            trial=int(document["trial"]),
            configuration=Configuration.of(document["configuration"]),
            objectives=_read(document["objectives"]),
            image=str(document["image"]),
            model=str(document["model"]),
            model_checksum=_text(document["model_checksum"]),
            version=str(document["version"]),
            backend=str(document["backend"]),
            image_id=_text(document.get("image_id")),
            measured=str(document.get("measured", "")),
            host=dict(document.get("host", {})),
            predicted=_read(document.get("predicted", {})),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the file's provenance is broken: {error!r}", _EXPECTED) from error


def _annotation(text: str) -> str | None:
    try:
        documents = text_documents(text)
    except yaml.YAMLError:
        return None
    for document in documents:
        try:
            return str(document["metadata"]["annotations"][ANNOTATION])
        except (KeyError, TypeError, IndexError):
            continue
    return None


def _written(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in estimates.items()}


def _read(document: Mapping[str, Mapping[str, Any]]) -> dict[str, Estimate]:
    return {
        name: Estimate(
            math.nan if e["value"] is None else float(e["value"]),
            None if e.get("low") is None else float(e["low"]),
            None if e.get("high") is None else float(e["high"]),
        )
        for name, e in document.items()
    }


def _estimates(names: list[str], predicted: Predicted) -> dict[str, Estimate]:
    ends = zip(names, predicted.values, predicted.low, predicted.high, strict=True)
    return {name: Estimate(value, low, high) for name, value, low, high in ends}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
