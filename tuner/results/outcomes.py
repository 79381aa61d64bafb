"""What a decision is expected to give in each scenario, beside the baseline's decision there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.measure.link import LOGARITHM, link_of
from tuner.measure.measurement import Estimate, Z
from tuner.measure.record import StudyRecord
from tuner.model.study_model import model_of
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Configuration


@dataclass(frozen=True)
class Outcome:
    """What a model of the study says of one configuration.

    `values` are the objectives in their units, `changes` how many percent they are above those of
    the baseline's decision in the same scenario, both with 95 % intervals of what many bursts would
    give on average; `changes` are None where the configuration is that, or the model does not know
    it. `feasible` is the probability that it serves and holds the constraints.
    """

    configuration: Configuration
    values: tuple[Estimate, ...]
    changes: tuple[Estimate | None, ...] | None
    feasible: float


def outcomes(
    study: StudyRecord, configurations: Iterable[Configuration]
) -> dict[Configuration, Outcome]:
    """The outcomes of those configurations that the model knows.

    Empty where there are too few measurements for a model.
    """
    surrogate = model_of(study)
    if surrogate is None:
        return {}
    by_configuration = {}
    for configuration in configurations:
        row = surrogate.candidates.index(configuration)
        if row is not None:
            by_configuration[configuration] = _outcome(study, surrogate, configuration, row)
    return by_configuration


def with_decision(
    study: StudyRecord, decision: Configuration, scenario: Configuration
) -> Configuration:
    """The configuration of a decision in a scenario; what neither says has its default."""
    defaults = {p.name: p.default for p in study.search_space}
    return study.search_space.effective({**defaults, **decision, **scenario})


def default_decision(study: StudyRecord, scenario: Configuration) -> Configuration:
    """The baseline's decision in a scenario."""
    return with_decision(study, Configuration(()), scenario)


def _outcome(
    study: StudyRecord, surrogate: Surrogate, configuration: Configuration, row: int
) -> Outcome:
    scenario = study.scenario_of(configuration)
    other = surrogate.candidates.index(default_decision(study, scenario))
    rows = np.array([row] if other in (None, row) else [row, other], dtype=np.intp)
    posterior = surrogate.posterior(rows)
    values, changes = [], []
    for i, direction in enumerate(surrogate.directions):
        sign = 1.0 if direction == "minimize" else -1.0
        covariance = surrogate.covariance(rows, rows, i)
        means = sign * posterior.mean[:, i]
        link, half = link_of(surrogate.metrics[i]), Z * _sd(covariance[0, 0])
        middle = float(means[0])
        values.append(Estimate(*link.in_unit([middle, middle - half, middle + half]).tolist()))
        if len(rows) == 2:
            variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
            ratio = _estimate(float(means[0] - means[1]), _sd(variance))
            # Of what may be 0 no ratio is known.
            changes.append(_above_one(ratio) if link == LOGARITHM else None)
    return Outcome(
        configuration,
        tuple(values),
        tuple(changes) if changes else None,
        float(posterior.feasible[0]),
    )


def _sd(variance: npt.ArrayLike) -> float:
    # Rounding may leave a variance of nothing a little below 0.
    return math.sqrt(max(0.0, float(np.asarray(variance))))


def _estimate(mean: float, sd: float) -> Estimate:
    return Estimate(*(math.exp(mean + z * sd) for z in (0.0, -Z, Z)))


def _above_one(ratio: Estimate) -> Estimate:
    assert ratio.low is not None
    assert ratio.high is not None
    return Estimate(*(100 * (r - 1) for r in (ratio.value, ratio.low, ratio.high)))
