"""What a study predicts for a burst on a new deployment of one of its configurations. Pure.

docs/adr/0023-verified-against-a-new-burst.md explains the interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.measure.link import LOGARITHM, interval_around, link_of
from tuner.measure.measurement import CONFIDENCE, Estimate, Z, student
from tuner.measure.record import StudyRecord
from tuner.measure.repeatability import FEWEST_DEGREES
from tuner.model.pareto import in_units
from tuner.model.study_model import model_of
from tuner.results.pooled import between_bursts, pooled, standard_error
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration

Basis = Literal["model", "bursts"]


@dataclass(frozen=True)
class Prediction:
    """The prediction of one objective.

    `value` is in the metric's unit; all else is on the scale of its link: a logarithm, but for what
    may be 0. `sd` is the uncertainty of the
    configuration's average, `between` the difference between its deployments, both as standard
    deviations. `quantile` is the half width of the interval in standard deviations. `basis` says
    where they come from: the model of all measurements, or this configuration's own bursts.
    """

    metric: str
    value: float
    sd: float
    between: float
    quantile: float
    basis: Basis

    def interval(self, bursts: Sequence[Estimate]) -> Estimate:
        """The interval in which the pooled value of these bursts, each on a new deployment, is
        expected. It includes the uncertainty of each burst. What is reserved is exact.
        """
        if self.metric in RESERVED:
            return Estimate.exact(self.value)
        own = math.fsum(standard_error(e, self.metric) ** 2 for e in bursts) / len(bursts)
        sd = math.sqrt(self.sd**2 + (self.between**2 + own) / len(bursts))
        return interval_around(self.metric, self.value, self.quantile * sd)


def pooled_bursts(bursts: Sequence[Estimate], metric: str) -> Estimate:
    """The mean of several bursts on the scale of the link, with an interval from their own.

    Of logarithms that is the geometric mean. Where one of those is 0, it is the arithmetic mean,
    without an interval.
    """
    if len(bursts) == 1:
        return bursts[0]
    link = link_of(metric)
    if link == LOGARITHM and min(e.value for e in bursts) <= 0:
        return Estimate(math.fsum(e.value for e in bursts) / len(bursts))
    own = math.sqrt(math.fsum(standard_error(e, metric) ** 2 for e in bursts)) / len(bursts)
    value = float(link.in_unit(link.scaled([e.value for e in bursts]).mean()))
    return interval_around(metric, value, Z * own)


def predict_bursts(study: StudyRecord, configuration: Configuration) -> Mapping[str, Prediction]:
    """The predictions for `configuration` by objective; empty where it was not measured.

    For a right deployment all of them hold together with `CONFIDENCE`, 95 %. So each interval is
    wider than one alone would be (Bonferroni's inequality).
    """
    measured = next((p for p in pooled(study) if p.configuration == configuration), None)
    if measured is None or not measured.bursts:
        return {}
    surrogate = model_of(study)
    row = None if surrogate is None else surrogate.candidates.index(configuration)
    if surrogate is None or row is None:
        return {
            metric: Prediction(
                metric,
                measured.values[i],
                float(measured.sd[i]),
                between_bursts(study, metric, configuration),
                _quantile(study, metric),
                "bursts",
            )
            for i, metric in enumerate(o.metric for o in study.objectives)
        }
    posterior = surrogate.posterior([row])
    values = in_units(posterior.mean[0], surrogate.metrics, surrogate.directions)
    return {
        metric: Prediction(
            metric,
            measured.values[i] if metric in RESERVED else float(values[i]),
            float(posterior.sd[0, i]),
            float(surrogate.noise_sd[i]) * _more_than_usual(study, metric, configuration),
            _quantile(study, metric),
            "model",
        )
        for i, metric in enumerate(surrogate.metrics)
    }


def _more_than_usual(study: StudyRecord, metric: str, configuration: Configuration) -> float:
    """By how much more bursts of its scenario differ than those of the whole study."""
    usual = between_bursts(study, metric)
    return between_bursts(study, metric, configuration) / usual if usual else 1.0


def _quantile(study: StudyRecord, metric: str) -> float:
    """Of Student's t, as what differs between deployments is known from so many repeats.

    What is assumed of it before any counts as `FEWEST_DEGREES`.
    """
    repeats = study.repeatability.get(metric)
    degrees = FEWEST_DEGREES + (repeats.degrees if repeats else 0)
    return student(degrees, 1 - (1 - CONFIDENCE) / len(study.objectives))
