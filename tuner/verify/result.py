"""The result of deploying and measuring an exported file: two judgements of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuner.export.provenance import Provenance
from tuner.measure.measurement import Estimate, Measurement
from tuner.spec.study import Constraint
from tuner.trial import TrialResult
from tuner.verify.differences import FileDifference
from tuner.verify.prediction import Basis, Prediction, pooled_bursts

# History of the format of `Verified.to_json`: 1 (first); 2 adds `constraints`.
VERIFIED_FORMAT = 2

FileVerdict = Literal["as predicted", "not as predicted", "cannot say"]
ConstraintVerdict = Literal["holds", "fails", "cannot say"]


@dataclass(frozen=True)
class VerifiedObjective:
    """An objective in its unit: as predicted (an interval) and as measured (all bursts pooled)."""

    metric: str
    predicted: Estimate
    measured: Estimate
    basis: Basis

    @property
    def inside(self) -> bool:
        low, high = self.predicted.low, self.predicted.high
        return low is not None and high is not None and low <= self.measured.value <= high

    @property
    def difference_percent(self) -> float | None:
        """The difference of the measured value from the predicted one; None where that may be 0."""
        if not self.predicted.low:
            return None
        return 100 * (self.measured.value / self.predicted.value - 1)


@dataclass(frozen=True)
class VerifiedConstraint:
    """A constraint of the study and its metric as measured (all bursts pooled, in its unit).

    `measured` is None where no measurement that can be trusted has the metric.
    """

    constraint: Constraint
    measured: Estimate | None

    @property
    def verdict(self) -> ConstraintVerdict:
        """By the measured value, as for a trial; its interval only says how sure that is."""
        if self.measured is None:
            return "cannot say"
        return "fails" if self.constraint.violation(self.measured.value) > 0 else "holds"

    @property
    def close(self) -> bool:
        """Whether the bound is inside the interval, so that another burst may say otherwise."""
        if self.measured is None or self.measured.low is None or self.measured.high is None:
            return False
        return self.measured.low <= self.constraint.bound <= self.measured.high


@dataclass(frozen=True)
class Verified:
    """A file of the trial that `provenance` names, deployed `len(results)` times by `backend`.

    `environment` is that of this run. `results` are in order; each is the last attempt of its
    burst. `broken` says why the last deployment or burst gave no result, if the reason is not the
    configuration, and is empty otherwise. `notes` are additional facts for the reader.
    `constraints` are the study's.
    """

    study: str
    file: str
    backend: str
    provenance: Provenance
    environment: Mapping[str, Any]
    predictions: Mapping[str, Prediction]
    results: tuple[TrialResult, ...]
    differences: tuple[FileDifference, ...] = ()
    broken: str = ""
    notes: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @property
    def trusted(self) -> tuple[Measurement, ...]:
        """The measurements that are not INVALID."""
        measurements = (r.measurement for r in self.results if not r.invalid)
        return tuple(m for m in measurements if m is not None)

    @property
    def judged(self) -> tuple[VerifiedObjective, ...]:
        """Each objective that was measured; empty where no measurement can be trusted."""
        judged = []
        for metric, prediction in self.predictions.items():
            bursts = self._bursts(metric)
            if bursts:
                expected = prediction.interval(bursts)
                measured = pooled_bursts(bursts, metric)
                judged.append(VerifiedObjective(metric, expected, measured, prediction.basis))
        return tuple(judged)

    @property
    def verdict(self) -> FileVerdict:
        """The verdict on the file.

        A file that brings up something else is not as predicted, whatever the values. Neither is
        one that cannot serve.
        """
        judged = self.judged
        if (
            self.differences
            or any(r.infeasible for r in self.results)
            or not all(j.inside for j in judged)
        ):
            return "not as predicted"
        whole = len(judged) == len(self.predictions) and not self.broken
        return "as predicted" if whole else "cannot say"

    @property
    def judged_constraints(self) -> tuple[VerifiedConstraint, ...]:
        """Every constraint of the study, in its order, whatever was predicted."""
        return tuple(
            VerifiedConstraint(
                c, pooled_bursts(bursts, c.metric) if (bursts := self._bursts(c.metric)) else None
            )
            for c in self.constraints
        )

    def _bursts(self, metric: str) -> list[Estimate]:
        return [m.metrics[metric] for m in self.trusted if metric in m.metrics]

    def to_json(self) -> dict[str, Any]:
        """All of this as JSON-able data."""
        return {
            "format": VERIFIED_FORMAT,
            "verdict": self.verdict,
            "study": self.study,
            "file": self.file,
            "backend": self.backend,
            "trial": self.provenance.trial,
            "configuration": dict(self.provenance.configuration),
            "objectives": {j.metric: _judged(j) for j in self.judged},
            "constraints": {str(c.constraint): _held(c) for c in self.judged_constraints},
            "differences": [asdict(d) for d in self.differences],
            "broken": self.broken,
            "notes": list(self.notes),
            "environment": dict(self.environment),
            "bursts": [r.to_json() for r in self.results],
        }


def _judged(objective: VerifiedObjective) -> dict[str, Any]:
    return {
        "predicted": asdict(objective.predicted),
        "measured": asdict(objective.measured),
        "inside": objective.inside,
        "difference_percent": objective.difference_percent,
        "basis": objective.basis,
    }


def _held(judged: VerifiedConstraint) -> dict[str, Any]:
    return {
        **asdict(judged.constraint),
        "measured": judged.measured and asdict(judged.measured),
        "verdict": judged.verdict,
    }
