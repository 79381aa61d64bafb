"""Studies whose trials are made up, so that what a report says of them is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.sources import Sources
from tuner.results.study_file import FinishedStudy
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Objective

CONCURRENCY = Parameter("concurrency", "int", "scenario", 4, choices=(1, 4), unit="connections")
CPU = Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0), unit="cores")
MEMORY = Parameter("memory", "int", "decision", 256, choices=(48, 128, 256), unit="MiB")
REPLICAS = Parameter("replicas", "int", "decision", 1, low=1, high=3)
LOSS = Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0), unit="%")

BOTH = ("art_ms", "cpu_percent")

Truth = Callable[[Mapping[str, Any]], float]

BROKEN = "error_rate <= 0.01"
"""A constraint that every measured trial says something of."""

NOISE = 0.01
"""Half an interval of every planted objective, as a share."""


def measured(
    number: int,
    configuration: Mapping[str, Any],
    values: Sequence[float],
    *,
    metrics: Sequence[str] = BOTH,
    replicas: Sequence[Mapping[str, float]] = (),
    counters: Mapping[str, float] | None = None,
    **changes: Any,  # noqa: ANN401 -- fields of the record
) -> TrialRecord:
    """A trial with these values of its objectives and these counters."""
    estimates = {
        m: Estimate(v, v * (1 - NOISE), v * (1 + NOISE))
        for m, v in zip(metrics, values, strict=True)
    }
    estimates |= {name: Estimate(value) for name, value in (counters or {}).items()}
    found = Measurement(estimates, (), 1000, 100, 2.0, "", {}, replicas=tuple(replicas))
    fields: dict[str, Any] = {"violations": {BROKEN: -0.01, "serves": -1.0}, **changes}
    return TrialRecord(
        number=number,
        configuration=Configuration.of(configuration),
        outcome="measured",
        values=tuple(values),
        phases={"burst": 1.0},
        started="2025-01-01T00:00:00+00:00",
        measurement=found,
        **fields,
    )


def infeasible(
    number: int,
    configuration: Mapping[str, Any],
    reason: str,
    detail: str = "",
    objectives: int = 2,
) -> TrialRecord:
    """A trial of what could not serve."""
    return TrialRecord(
        number=number,
        configuration=Configuration.of(configuration),
        outcome="infeasible",
        values=(1.0,) * objectives,
        violations={"serves": 1.0},
        phases={"deploy": 1.0},
        started="2025-01-01T00:00:00+00:00",
        reason=reason,
        detail=detail,
        imputed=True,
    )


def study(
    space: SearchSpace, trials: Sequence[TrialRecord], metrics: Sequence[str] = BOTH
) -> StudyRecord:
    objectives = tuple(Objective(m, METRICS[m].better) for m in metrics)
    return StudyRecord("planted", "mnist", space, objectives, (), {}, {}, tuple(trials))


def surveyed(space: SearchSpace, truths: Mapping[str, Truth], every: int = 1) -> StudyRecord:
    """Each `every`-th configuration of a space, measured as `truths` by metric say."""
    some = list(space.grid())[::every]
    trials = [
        measured(i, c, [truth(c) for truth in truths.values()], metrics=tuple(truths))
        for i, c in enumerate(some)
    ]
    return study(space, trials, tuple(truths))


def sources(record: StudyRecord) -> Sources:
    """What sections are written from; nothing was recorded of any burst."""
    return Sources.of(FinishedStudy(record, lambda _: None))
