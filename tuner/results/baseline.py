"""How far a configuration is from the baseline.

There is one meaning of "against the baseline": the ratio of what all bursts of a configuration say
together to what all bursts of the search space's defaults say together (`tuner.results.pooled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.measure.student import Z
from tuner.results.pooled import Pooled
from tuner.spec.space import Configuration

Changes = tuple[Estimate | None, ...]
"""By objective, in the study's order: changes in percent with their 95 % intervals.

None where a change is not known: where one side has no burst that was measured to the end, or where
the value to compare with is 0.
"""


def against_baseline(
    study: StudyRecord, known: Iterable[Pooled]
) -> Mapping[Configuration, Changes]:
    """The changes of all `known` configurations against the baseline.

    Those of the baseline itself are 0, without an interval. The baseline is sought in `known`.
    """
    by_configuration = {one.configuration: one for one in known}
    baseline = by_configuration.get(study.search_space.baseline())
    return {c: changes(one, baseline) for c, one in by_configuration.items()}


def changes(one: Pooled, reference: Pooled | None) -> Changes:
    """By how many percent each objective of `one` is above that of `reference`."""
    count = len(one.values)
    if reference is None or not reference.bursts or not one.bursts:
        return (None,) * count
    return tuple(_change(one, reference, index) for index in range(count))


def _change(one: Pooled, reference: Pooled, index: int) -> Estimate | None:
    value, base = one.values[index], reference.values[index]
    if base <= 0:
        return None
    if one is reference:
        return Estimate(0.0)
    ratio = value / base
    if ratio <= 0:
        # On a logarithmic scale nothing has an interval.
        return Estimate(100 * (ratio - 1))
    factor = math.exp(Z * math.hypot(float(one.sd[index]), float(reference.sd[index])))
    return Estimate(*(100 * (r - 1) for r in (ratio, ratio / factor, ratio * factor)))
