"""How far a configuration is from the baseline.

There is one meaning of "against the baseline": the ratio of what all bursts of a configuration say
together to what all bursts of the search space's defaults say together (`tuner.results.pooled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tuner.measure.measurement import Estimate, Z
from tuner.measure.record import StudyRecord
from tuner.results.pooled import Pooled
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration

Changes = tuple[Estimate | None, ...]
"""By objective, in the study's order: changes in percent with their 95 % intervals.

None where a change is not known: where one side has no burst that was measured to the end, or where
the value to compare with is 0.
"""

_LARGEST_ERROR = 1.0
"""Of a change, as a share: with a larger standard error the interval of a ratio says nothing."""


def against_baseline(
    study: StudyRecord, configurations: Iterable[Pooled]
) -> Mapping[Configuration, Changes]:
    """The changes of all `configurations` against the baseline, which is one of them.

    Those of the baseline itself are 0, without an interval.
    """
    by_configuration = {own.configuration: own for own in configurations}
    baseline = by_configuration.get(study.search_space.baseline())
    return {c: changes(own, baseline) for c, own in by_configuration.items()}


def changes(own: Pooled, reference: Pooled | None) -> Changes:
    """By how many percent each objective of `own` is above that of `reference`."""
    count = len(own.values)
    if reference is None or not reference.bursts or not own.bursts:
        return (None,) * count
    return tuple(_change(own, reference, index) for index in range(count))


def _change(own: Pooled, reference: Pooled, index: int) -> Estimate | None:
    value, base = own.values[index], reference.values[index]
    if base <= 0:
        return None
    if own is reference:
        return Estimate(0.0)
    ratio = value / base
    if ratio <= 0 or own.metrics[index] in RESERVED:
        # On a logarithmic scale 0 has no interval; what is reserved is exact.
        return Estimate(100 * (ratio - 1))
    error = math.hypot(own.relative_sd(index), reference.relative_sd(index))
    if not error < _LARGEST_ERROR:
        return Estimate(100 * (ratio - 1))
    factor = math.exp(Z * error)
    return Estimate(*(100 * (r - 1) for r in (ratio, ratio / factor, ratio * factor)))
