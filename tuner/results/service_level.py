"""How surely a configuration holds the constraints of a study, what less would miss, and by how
much the nearest one misses where none holds. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from tuner.measure.link import interval_around, link_of
from tuner.measure.measurement import Estimate, Z
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.surrogate import Surrogate
from tuner.results.pooled import Pooled, between_bursts, pooled
from tuner.spec.space import Configuration, Parameter, Value
from tuner.spec.study import Constraint

RESOURCES = ("replicas", "cpu", "memory")
"""The decisions that reserve something."""

_LIKELY_MISSES = 0.5


@dataclass(frozen=True)
class ConstraintOutlook:
    """What is expected of one constraint at one configuration.

    `value` is the average of its bursts, in the metric's unit; where none was `measured`, what the
    model predicts. `probability` is that of a new deployment to hold the constraint. Both are None
    where neither bursts nor the model know.
    """

    constraint: Constraint
    value: Estimate | None
    probability: float | None
    measured: bool

    @property
    def misses(self) -> bool:
        """By what was measured, else by the odds."""
        if self.measured and self.value is not None:
            return self.constraint.violation(self.value.value) > 0
        return self.probability is not None and self.probability < _LIKELY_MISSES


@dataclass(frozen=True)
class SmallerConfiguration:
    """The same configuration with the next smaller value of one `parameter`, which misses.

    `missed` are the constraints that it breaks; `reason` says why it cannot serve at all, and is
    empty where it can.
    """

    parameter: Parameter
    value: Value
    missed: tuple[ConstraintOutlook, ...]
    reason: str = ""


@dataclass(frozen=True)
class ServiceLevelAnswer:
    """Every constraint of the study at one configuration, and what less of it would miss."""

    configuration: Configuration
    outlooks: tuple[ConstraintOutlook, ...]
    smaller: tuple[SmallerConfiguration, ...]


@dataclass(frozen=True)
class NearestMiss:
    """The measured configuration that comes nearest to holding all constraints.

    `trial` is its burst nearest to the average of all. `missed` are the constraints that it breaks.
    """

    trial: TrialRecord
    missed: tuple[ConstraintOutlook, ...]


def service_level(
    study: StudyRecord, configuration: Configuration, surrogate: Surrogate | None
) -> ServiceLevelAnswer:
    """What is known of the constraints at `configuration` and one step below it.

    `surrogate` is the model of the study, None where too little was measured for one.
    """
    measured = {p.configuration: p for p in pooled(study)}

    def outlooks(at: Configuration) -> tuple[ConstraintOutlook, ...]:
        return tuple(_outlook(study, c, at, measured.get(at), surrogate) for c in study.constraints)

    def smaller() -> Iterator[SmallerConfiguration]:
        for parameter, value, other in _one_step_below(study, configuration):
            tried = measured.get(other)
            if tried is not None and not tried.bursts and tried.trials[-1].outcome == "infeasible":
                yield SmallerConfiguration(parameter, value, (), tried.trials[-1].reason)
            elif missed := tuple(o for o in outlooks(other) if o.misses):
                yield SmallerConfiguration(parameter, value, missed)

    return ServiceLevelAnswer(configuration, outlooks(configuration), tuple(smaller()))


def nearest_miss(study: StudyRecord, scenario: Configuration | None = None) -> NearestMiss | None:
    """What is nearest to feasible, of a scenario or of all; None where nothing could be measured.

    The distance is the sum over the broken constraints of how far each is broken, as a share of its
    bound. A burst that was cut short counts as far as it went.
    """
    best: tuple[float, NearestMiss] | None = None
    for candidate in pooled(study):
        trials = _bursts(candidate)
        if not trials or scenario not in (None, study.scenario_of(candidate.configuration)):
            continue
        missed = tuple(
            outlook
            for c in study.constraints
            if (average := _average(study, c.metric, trials)) is not None
            and (outlook := ConstraintOutlook(c, average.value, None, measured=True)).misses
        )
        trial = candidate.representative if candidate.bursts else trials[-1]
        distance = math.fsum(
            o.constraint.violation(o.value.value) / (abs(o.constraint.bound) or 1.0)
            for o in missed
            if o.value is not None
        )
        if missed and (best is None or distance < best[0]):
            best = distance, NearestMiss(trial, missed)
    return None if best is None else best[1]


def replicas_needed(rate: float, capacity: Estimate, replicas: int) -> int | None:
    """How many replicas hold `rate` requests/s, where so many have this capacity together.

    By the lower end of the capacity, and as if each added replica had a share of its own: it needs
    a CPU that no other uses. None where they hold nothing.
    """
    least = capacity.value if capacity.low is None else capacity.low
    # Less the rounding of a whole number of shares.
    return math.ceil(rate * replicas / least - 1e-9) if least > 0 else None


def is_exhausted(study: StudyRecord) -> bool:
    """Whether every configuration of the search space has a finished trial."""
    size = study.search_space.size()
    return size is not None and len({t.configuration for t in study.trials}) >= size


def _outlook(
    study: StudyRecord,
    constraint: Constraint,
    configuration: Configuration,
    measured: Pooled | None,
    surrogate: Surrogate | None,
) -> ConstraintOutlook:
    average = None if measured is None else _average(study, constraint.metric, _bursts(measured))
    own = None if average is None else average.value
    row = None if surrogate is None else surrogate.candidates.index(configuration)
    model = next(
        (c for c in (surrogate.constraints if surrogate else ()) if c.text == str(constraint)), None
    )
    if model is None or row is None:
        chance = None if average is None else _holds(constraint, average)
        return ConstraintOutlook(constraint, own, chance, own is not None)
    value = own if own is not None else model.value(row)
    return ConstraintOutlook(constraint, value, model.holds_when_deployed(row), own is not None)


def _bursts(of: Pooled) -> Sequence[TrialRecord]:
    """The bursts of a configuration; where all were cut short, as far as they went."""
    return of.bursts or tuple(t for t in of.trials if t.outcome == "measured")


def _one_step_below(
    study: StudyRecord, configuration: Configuration
) -> Iterator[tuple[Parameter, Value, Configuration]]:
    """Each resource that can be reduced, its next smaller value, and the configuration with it."""
    for name in RESOURCES:
        if name not in study.decision_parameters or name not in configuration:
            continue
        parameter = study.search_space[name]
        below = [v for v in parameter.values() or () if float(v) < float(configuration[name])]
        if below:
            defaults = {p.name: p.default for p in study.search_space}
            values = {**defaults, **configuration, name: below[-1]}
            yield parameter, below[-1], study.search_space.effective(values)


def average_of_metric(
    study: StudyRecord, metric: str, bursts: Sequence[TrialRecord]
) -> Estimate | None:
    """The average of a metric over bursts of one configuration, with its 95 % interval.

    None where no burst has the metric.
    """
    average = _average(study, metric, bursts)
    return None if average is None else average.value


@dataclass(frozen=True)
class _Average:
    """That of bursts of one configuration.

    On the scale of the link: `sd` is its standard error, `between` how far bursts differ there.
    """

    value: Estimate
    sd: float
    between: float


def _average(study: StudyRecord, metric: str, bursts: Sequence[TrialRecord]) -> _Average | None:
    """The average of a metric over bursts of one configuration, on the scale of its link.

    As in `tuner.results.pooled`, what differs between bursts is in its interval.
    """
    estimates = [e for t in bursts if (e := t.metric(metric)) is not None]
    if not estimates:
        return None
    link = link_of(metric)
    own = np.array([link.standard_error(e) or 0.0 for e in estimates])
    between = between_bursts(study, metric, bursts[0].configuration)
    variances = own**2 + between**2
    if not variances.any():
        return _Average(estimates[0], 0.0, between)
    weights = 1 / np.maximum(variances, 1e-12)
    scaled = link.scaled([e.value for e in estimates])
    alone = len(estimates) == 1
    mean = estimates[0].value if alone else float(link.in_unit(weights @ scaled / weights.sum()))
    sd = 1 / math.sqrt(float(weights.sum()))
    return _Average(interval_around(metric, mean, Z * sd), sd, between)


def _holds(constraint: Constraint, average: _Average) -> float:
    """P(a new deployment holds the constraint), of which many have this average."""
    metric = constraint.metric
    sd = math.hypot(average.sd, average.between)
    if not sd:
        return 1.0 if constraint.violation(average.value.value) <= 0 else 0.0
    mean, bound = link_of(metric).scaled([average.value.value, constraint.bound]).tolist()
    away = bound - mean if constraint.operator == "<=" else mean - bound
    return float(ndtr(away / sd))
