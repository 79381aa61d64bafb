"""The finished record of one trial: what report and export read, and nothing else.

It is stored as one JSON document in the trial's user attributes (key `ATTRIBUTE`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import Constraint, Objective

# History of the format: 1 (first).
FORMAT = 1

ATTRIBUTE = "record"

Outcome = Literal["measured", "infeasible"]


@dataclass(frozen=True)
class TrialRecord:
    """One configuration, deployed and measured, or found unable to serve.

    `values` are the objectives in the study's order, in the metrics' units. For an infeasible
    trial they are `imputed`: finite stand-ins that tell a sampler "bad", never measurements.
    `violations` maps each constraint's text to how far it is broken (zero or less: it holds).
    `phases` are seconds by name, in order; `samples` is the Parquet file's name, if there is one.
    """

    number: int
    configuration: Configuration
    outcome: Outcome
    values: tuple[float, ...]
    violations: Mapping[str, float]
    phases: Mapping[str, float]
    started: str
    measurement: Measurement | None = None
    reason: str = ""
    detail: str = ""
    log_tail: str = ""
    deployment: Mapping[str, Any] = field(default_factory=dict)
    impairment: Mapping[str, Any] = field(default_factory=dict)
    samples: str | None = None
    backend: str = "docker"
    imputed: bool = False

    @property
    def feasible(self) -> bool:
        return self.outcome == "measured" and all(v <= 0 for v in self.violations.values())

    @property
    def seconds(self) -> float:
        """Wall time of the whole trial."""
        return sum(self.phases.values())

    def metric(self, name: str) -> Estimate | None:
        return self.measurement.metrics.get(name) if self.measurement else None

    def to_json(self) -> dict[str, Any]:
        document = dataclasses.asdict(self)
        document["format"] = FORMAT
        document["configuration"] = dict(self.configuration)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrialRecord:
        """The inverse of `to_json`. Raises ValueError for a format that it cannot read."""
        if document["format"] != FORMAT:
            raise ValueError(f"trial record of format {document['format']}, expected {FORMAT}")
        values = {k: v for k, v in document.items() if k != "format"}
        values["configuration"] = Configuration.of(document["configuration"])
        values["values"] = tuple(document["values"])
        if document["measurement"] is not None:
            values["measurement"] = _measurement(document["measurement"])
        return cls(**values)


@dataclass(frozen=True)
class StudyRecord:
    """A study's finished trials, in order, and what is needed to read them.

    `environment` is that of the last run (host, engine, image, model checksum, versions).
    `serving` is the canonical serving section: image, flags, env.
    """

    name: str
    model: str
    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    serving: Mapping[str, Any]
    environment: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]

    def trial(self, number: int) -> TrialRecord | None:
        return next((t for t in self.trials if t.number == number), None)

    @property
    def baseline(self) -> TrialRecord | None:
        """The first measured trial of the default configuration: trial 0, unless that broke."""
        defaults = self.search_space.baseline()
        return next((t for t in self.trials if t.measurement and t.configuration == defaults), None)


def _measurement(document: Mapping[str, Any]) -> Measurement:
    values = dict(document)
    values["metrics"] = {name: Estimate(**e) for name, e in document["metrics"].items()}
    values["findings"] = tuple(Finding(**f) for f in document["findings"])
    return Measurement(**values)
