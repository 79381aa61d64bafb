"""How surely a configuration holds the constraints of a study, what less would miss, and by how
much the nearest one misses where none holds. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

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
            if (value := _average(study, c.metric, trials)) is not None
            and (outlook := ConstraintOutlook(c, value, None, measured=True)).misses
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
    own = None if measured is None else _average(study, constraint.metric, _bursts(measured))
    row = None if surrogate is None else surrogate.candidates.index(configuration)
    model = next(
        (c for c in (surrogate.constraints if surrogate else ()) if c.text == str(constraint)), None
    )
    if model is None or row is None:
        deployed = None if own is None else _new_deployment(study, constraint.metric, own)
        chance = None if deployed is None else _holds(constraint, deployed)
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


def _average(study: StudyRecord, metric: str, bursts: Sequence[TrialRecord]) -> Estimate | None:
    """The average of a metric over bursts of one configuration, with its 95 % interval.

    As in `tuner.results.pooled`, what differs between bursts is in the interval. A metric that can
    be 0 is averaged as it is, its interval too.
    """
    estimates = [e for t in bursts if (e := t.metric(metric)) is not None]
    if not estimates:
        return None
    if min(e.value for e in estimates) <= 0:
        value = math.fsum(e.value for e in estimates) / len(estimates)
        if any(e.low is None or e.high is None for e in estimates):
            return Estimate(value)
        ends = (math.fsum(getattr(e, end) for e in estimates) for end in ("low", "high"))
        return Estimate(value, *(end / len(estimates) for end in ends))
    own = np.array([(e.relative_error or 0.0) ** 2 for e in estimates])
    variances = own + between_bursts(study, metric) ** 2
    if not variances.any():
        return estimates[0]
    weights = 1 / np.maximum(variances, 1e-12)
    logs = np.log([e.value for e in estimates])
    alone = len(estimates) == 1
    value = estimates[0].value if alone else math.exp(float(weights @ logs / weights.sum()))
    factor = math.exp(Z / math.sqrt(float(weights.sum())))
    return Estimate(value, value / factor, value * factor)


def _new_deployment(study: StudyRecord, metric: str, average: Estimate) -> Estimate:
    """The value of one new deployment, of which many would give this average."""
    if average.value <= 0 or average.low is None or average.high is None or average.low <= 0:
        return average
    log_sd = math.log(average.high / average.value) / Z
    factor = math.exp(Z * math.hypot(log_sd, between_bursts(study, metric)))
    return Estimate(average.value, average.value / factor, average.value * factor)


def _holds(constraint: Constraint, value: Estimate) -> float | None:
    """P(the value is within the bound); None where its interval is not known.

    On a logarithmic scale where value and bound allow it, else on the metric's own, by the side of
    the interval that is towards the bound.
    """
    if value.low is None or value.high is None:
        return None
    end = value.high if constraint.operator == "<=" else value.low
    numbers = [value.value, end, constraint.bound]
    if min(numbers) > 0:
        numbers = [math.log(n) for n in numbers]
    middle, end, bound = numbers
    sd = abs(end - middle) / Z
    if not sd:
        return 1.0 if constraint.violation(value.value) <= 0 else 0.0
    away = bound - middle if constraint.operator == "<=" else middle - bound
    return float(ndtr(away / sd))
