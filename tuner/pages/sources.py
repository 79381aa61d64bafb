"""What the sections of a report are written from, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.measure.record import StudyRecord
from tuner.results.explain import Explanation, explain
from tuner.results.findings import Findings, find
from tuner.results.study_file import FinishedStudy
from tuner.results.summary import Summary, summarise


@dataclass(frozen=True)
class Sources:
    """A finished study, and what is said of it elsewhere too (`tune show`, `tune explain`).

    `findings` is None where there are too few measurements for a model.
    """

    study: FinishedStudy
    summary: Summary
    findings: Findings | None
    explanation: Explanation

    @classmethod
    def of(cls, study: FinishedStudy) -> Sources:
        record = study.record
        return cls(study, summarise(record), find(record), explain(record))

    @property
    def record(self) -> StudyRecord:
        return self.study.record
