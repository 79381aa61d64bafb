"""What came out when an exported file was deployed and measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuner.export.provenance import Provenance
from tuner.measure.measurement import Estimate, Measurement
from tuner.trial import TrialResult
from tuner.verify.differences import FileDifference
from tuner.verify.prediction import Basis, Prediction, pooled_bursts

# History of the format of `Verified.to_json`: 1 (first).
VERIFIED_FORMAT = 1

FileVerdict = Literal["as predicted", "not as predicted", "cannot say"]


@dataclass(frozen=True)
class VerifiedObjective:
    """An objective as predicted (interval) and as measured (all bursts together), in its unit."""

    metric: str
    predicted: Estimate
    measured: Estimate
    basis: Basis

    @property
    def inside(self) -> bool:
        low, high = self.predicted.low, self.predicted.high
        return low is not None and high is not None and low <= self.measured.value <= high

    @property
    def difference_percent(self) -> float:
        """Of the measured value from the predicted one."""
        return 100 * (self.measured.value / self.predicted.value - 1)


@dataclass(frozen=True)
class Verified:
    """A file of the trial that `provenance` names, deployed `len(results)` times.

    `backend` is where; `environment` is that of this run. `results` are in order, of each burst the
    last attempt. `broken` says why the last deployment or burst gave no result, for a reason that
    is not the configuration's; empty otherwise. `notes` are what a reader should know beside.
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

    @property
    def trusted(self) -> tuple[Measurement, ...]:
        """The measurements that are not INVALID."""
        found = (r.measurement for r in self.results if not r.invalid)
        return tuple(m for m in found if m is not None)

    @property
    def judged(self) -> tuple[VerifiedObjective, ...]:
        """Each objective that could be measured; nothing where no measurement can be trusted."""
        some = []
        for metric, prediction in self.predictions.items():
            bursts = [m.metrics[metric] for m in self.trusted if metric in m.metrics]
            if bursts:
                expected = prediction.interval(bursts)
                some.append(
                    VerifiedObjective(metric, expected, pooled_bursts(bursts), prediction.basis)
                )
        return tuple(some)

    @property
    def verdict(self) -> FileVerdict:
        """Of everything: a file that brings up something else is not as predicted, whatever the
        values; nor is one that cannot serve.
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

    def to_json(self) -> dict[str, Any]:
        """Everything that is known, as JSON-able data."""
        return {
            "format": VERIFIED_FORMAT,
            "verdict": self.verdict,
            "study": self.study,
            "file": self.file,
            "backend": self.backend,
            "trial": self.provenance.trial,
            "configuration": dict(self.provenance.configuration),
            "objectives": {j.metric: _judged(j) for j in self.judged},
            "differences": [asdict(d) for d in self.differences],
            "broken": self.broken,
            "notes": list(self.notes),
            "environment": dict(self.environment),
            "bursts": [r.to_json() for r in self.results],
        }


def _judged(found: VerifiedObjective) -> dict[str, Any]:
    return {
        "predicted": asdict(found.predicted),
        "measured": asdict(found.measured),
        "inside": found.inside,
        "difference_percent": found.difference_percent,
        "basis": found.basis,
    }
