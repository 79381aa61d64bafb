"""The objective values and constraint violations of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.errors import TrialFailed
from tuner.measure.measurement import Measurement
from tuner.measure.statistics import fewest_samples
from tuner.spec.metrics import METRICS
from tuner.spec.study import Constraint, Objective


@dataclass(frozen=True)
class Score:
    """Objective values, in the order and units of the objectives, and constraint violations.

    `violations` maps a constraint's text to its violation in the metric's unit. The constraint
    holds where that is zero or less.
    """

    values: tuple[float, ...]
    violations: Mapping[str, float]

    @property
    def feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations.values())


def score(
    measurement: Measurement, objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> Score:
    """The score of a measurement. Raises TrialFailed where a metric of it was not measured."""
    return Score(
        tuple(_value(measurement, objective.metric) for objective in objectives),
        {str(c): c.violation(_value(measurement, c.metric)) for c in constraints},
    )


def _value(measurement: Measurement, name: str) -> float:
    if name in measurement.metrics:
        return measurement.metrics[name].value
    metric = METRICS[name]
    good = measurement.requests - sum(measurement.errors.values())
    percentile = PERCENTILES.get(name)
    if not good:
        why = f"none of {measurement.requests} requests in the window succeeded"
        mend = "Look at the trial's errors, or raise load.timeout_seconds or load.max_seconds."
    elif percentile is not None:
        why = f"it needs {fewest_samples(percentile)} successful requests, the window has {good}"
        mend = "Raise load.min_requests, load.min_seconds and load.max_seconds."
    else:
        why = "the containers' counters do not have it"
        mend = f"Use another metric than {name}."
    raise TrialFailed(f"{metric.label} ({name}) could not be measured: {why}", mend)


PERCENTILES: Mapping[str, float] = {"p50_ms": 0.50, "p90_ms": 0.90, "p95_ms": 0.95, "p99_ms": 0.99}
"""The metrics that are percentiles of response time."""
