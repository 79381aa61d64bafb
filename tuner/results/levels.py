"""By which scenario parameter trials are told apart in a figure, and by which of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.wording import bare, figure
from tuner.spec.space import Parameter, Value

MOST = 4
"""Trials are told apart by so many values, or by three groups of them."""


@dataclass(frozen=True)
class Level:
    """A value of a scenario parameter, or, with `value` None, a group of its values."""

    text: str
    value: Value | None


LevelOf = Callable[[TrialRecord], int]
"""The index of a trial's level."""


def position(parameter: Parameter, value: Value) -> float:
    """Where a value is on an axis: a number at itself, a category at its place among them."""
    if parameter.ordered:
        return float(value)
    assert parameter.choices is not None
    # False == 0 in Python; as a choice it is another one.
    return float([(type(c), c) for c in parameter.choices].index((type(value), value)))


def scenario_levels(record: StudyRecord, by: str) -> tuple[tuple[Level, ...], LevelOf]:
    """The levels of the parameter `by`, and a function that gives a trial's level.

    A level is a tried value, or a group of values with about as many trials as the others. Trials
    without the parameter, and those with a category beyond the first ones, come last. There are no
    levels where `by` is empty.
    """
    if not by:
        return (), lambda _: 0
    p = record.search_space[by]
    values = [t.configuration[by] for t in record.trials if by in t.configuration]
    tried = sorted(set(values), key=lambda v: position(p, v))
    rest = [Level(f"without {by}", None)] if len(values) < len(record.trials) else []
    if len(tried) > MOST and p.ordered:
        return _groups(p, [float(v) for v in values], rest)
    if len(tried) > MOST:
        tried, rest = tried[: MOST - 1], [Level(f"another {by}", None)]
    index = {v: i for i, v in enumerate(tried)}
    levels = [Level(_text(p, v), v) for v in tried]
    return (*levels, *rest), lambda t: index.get(t.configuration.get(by, ""), len(index))


def _groups(
    p: Parameter, numbers: list[float], rest: list[Level]
) -> tuple[tuple[Level, ...], LevelOf]:
    cuts = np.unique(np.quantile(numbers, [1 / 3, 2 / 3, 1], method="inverted_cdf"))
    group = np.searchsorted(cuts, numbers)
    groups = [np.array(numbers)[group == g] for g in range(len(cuts))]
    levels = [Level(_span(p, float(s.min()), float(s.max())), None) for s in groups]

    def level_of(trial: TrialRecord) -> int:
        if p.name not in trial.configuration:
            return len(cuts)
        return int(np.searchsorted(cuts, float(trial.configuration[p.name])))

    return (*levels, *rest), level_of


def _span(p: Parameter, low: float, high: float) -> str:
    if low == high:
        return _text(p, low)
    return f"{p.name} {figure(low)} to {figure(high)} {p.unit}".rstrip()


def _text(p: Parameter, value: Value) -> str:
    return f"{p.name} {bare(p, value)}"
