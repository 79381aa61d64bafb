"""How much each parameter matters to each objective, what pairs do, and what nothing explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuner.measure.record import StudyRecord
from tuner.model.pareto import logarithms
from tuner.results.explain import Explanation
from tuner.results.importance import Importance, Interaction
from tuner.results.pooled import standard_error

LEAST_INTERACTION = 0.005
"""A pair below this share of an objective's variance is not listed."""


@dataclass(frozen=True)
class Noise:
    """What differs from burst to burst of one configuration, of the trials of one objective.

    `share` is that part of the variance of the measured logarithms, None where they do not vary.
    `relative_sd` is the standard deviation between bursts, None before enough configurations were
    repeated: then only what each burst's own interval says counts, and the share is a least one.
    """

    metric: str
    share: float | None
    relative_sd: float | None


@dataclass(frozen=True)
class Importances:
    """`parameters` by their largest total of any objective; `pairs` the largest first."""

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    by_parameter: dict[tuple[str, str], Importance]
    pairs: tuple[Interaction, ...]
    noise: tuple[Noise, ...]


def importances(record: StudyRecord, explanation: Explanation) -> Importances:
    """Of a study; `by_parameter` has them by parameter and metric."""
    largest: dict[str, float] = {}
    for i in explanation.importances:
        largest[i.parameter] = max(largest.get(i.parameter, 0.0), i.total.value)
    return Importances(
        tuple(sorted(largest, key=lambda name: -largest[name])),
        explanation.metrics,
        {(i.parameter, i.metric): i for i in explanation.importances},
        tuple(i for i in explanation.interactions if i.share.value >= LEAST_INTERACTION),
        tuple(noise(record, metric) for metric in explanation.metrics),
    )


def noise(record: StudyRecord, metric: str) -> Noise:
    """Of the feasible trials that were measured to the end."""
    index = [o.metric for o in record.objectives].index(metric)
    trials = [t for t in record.trials if t.eligible]
    known = record.repeatability.get(metric)
    between = None if known is None else known.relative_sd
    if len(trials) < 2:
        return Noise(metric, None, between)
    whole = float(np.var(logarithms([t.values[index] for t in trials]), ddof=1))
    own = float(np.mean([standard_error(t.metric(metric)) ** 2 for t in trials]))
    # The variance of equal numbers is zero up to rounding.
    share = min(1.0, (own + (between or 0.0) ** 2) / whole) if whole > 1e-12 else None
    return Noise(metric, share, between)
