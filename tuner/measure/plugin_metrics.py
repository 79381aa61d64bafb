"""The metrics of other packages, computed of a burst."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from tuner.errors import TrialFailed
from tuner.measure.measurement import Estimate
from tuner.measure.samples import Burst, RequestSamples
from tuner.spec.metrics import METRICS, Metric


@dataclass(frozen=True, eq=False)
class MeasuredWindow:
    """What a metric is computed of: the burst, and what the measured window shows.

    `requests` are those that completed within the window, `seconds` is its length, `metrics` has
    the metrics of tune by name, and `host_cpus` is the number of CPUs of the containers' host.
    """

    burst: Burst
    requests: RequestSamples
    seconds: float
    metrics: Mapping[str, Estimate]
    host_cpus: int


def added_metrics(window: MeasuredWindow) -> dict[str, Estimate]:
    """By name; one that the burst does not show is absent.

    Raises TrialFailed where a metric's function raises, or returns what is no metric's value.
    """
    computed = {
        metric.name: _computed(metric, window)
        for metric in METRICS.values()
        if metric.compute is not None
    }
    return {name: estimate for name, estimate in computed.items() if estimate is not None}


def _computed(metric: Metric, window: MeasuredWindow) -> Estimate | None:
    assert metric.compute is not None
    mend = f"Mend the package that adds the metric {metric.name}, or uninstall it."
    try:
        value = metric.compute(window)
    except Exception as error:
        raise TrialFailed(
            f"metric {metric.name} could not be computed: {type(error).__name__}: {error}", mend
        ) from error
    if value is None:
        return None
    estimate = value if isinstance(value, Estimate) else None
    if estimate is None and isinstance(value, Real):
        estimate = Estimate(float(value))
    if estimate is None or not (math.isfinite(estimate.value) and estimate.value >= 0):
        raise TrialFailed(
            f"metric {metric.name} is {value!r}: a number, zero or more, was expected", mend
        )
    return estimate
