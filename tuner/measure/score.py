"""The objective values and constraint violations of a measurement."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tuner.errors import InputError, TrialFailed
from tuner.measure.measurement import Measurement, Missing
from tuner.measure.powercap import ENERGY
from tuner.measure.statistics import fewest_samples
from tuner.spec.metrics import METRICS, PERCENTILES
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
    if not good:
        why = f"none of {measurement.requests} requests in the window succeeded"
        mend = "Look at the trial's errors, or raise load.timeout_seconds or load.max_seconds."
    elif name in PERCENTILES:
        needed = fewest_samples(PERCENTILES[name])
        why = f"it needs {needed} successful requests, the window has {good}"
        mend = "Raise load.min_requests, load.min_seconds and load.max_seconds."
    elif name in ENERGY:
        why, mend = ENERGY[name].why, ENERGY[name].mend
    else:
        why = "the containers' counters do not have it"
        mend = f"Use another metric than {name}."
    raise TrialFailed(f"{metric.label} ({name}) could not be measured: {why}", mend)


def refuse_unmeasurable(metrics: Sequence[str], missing: Mapping[str, Missing]) -> None:
    """Raise InputError where one of `metrics` is among those that are `missing`."""
    lacking = [name for name in metrics if name in missing]
    if lacking:
        reasons = dict.fromkeys(f"{name}: {missing[name].why}" for name in lacking)
        mends = dict.fromkeys(missing[name].mend for name in lacking)
        raise InputError(
            f"the study asks for what cannot be measured here: {'; '.join(reasons)}",
            " ".join(mends),
        )


def requests_needed(metrics: Collection[str]) -> int:
    """The fewest successful requests from which each percentile among `metrics` is known well."""
    return max((fewest_samples(p) for name, p in PERCENTILES.items() if name in metrics), default=0)
