"""What a figure of one parameter shows, as rows: the model and the trials at each value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.pages.data.effects import Dependence
from tuner.results.dependence import Curve
from tuner.spec.space import Value


@dataclass(frozen=True)
class Row:
    """At `value`, over all scenarios (`level` None) or at one of the levels.

    `model` has the estimate of each objective and its band's ends, None where there is none;
    `measured` the least and the largest value of its `trials`, None without any.
    """

    value: Value
    level: int | None
    model: tuple[tuple[float, float, float] | None, ...]
    measured: tuple[tuple[float, float] | None, ...]
    trials: int
    infeasible: int


def rows(found: Dependence) -> Iterator[Row]:
    """Each value, then the same at each level that has a curve."""
    nearest = _nearest(found)
    drawn = {level: None for panel in found.panels for level, _ in panel.by_level}
    for level in (None, *(found.levels.index(each) for each in drawn)):
        for k, value in enumerate(found.values):
            here = nearest == k
            if level is not None:
                here &= found.points.level == level
            at = found.infeasible_x == found.place(value)
            yield Row(
                value,
                level,
                tuple(
                    None if curve is None else curve.known.get(value)
                    for curve in (_curve(found, i, level) for i in range(len(found.panels)))
                ),
                tuple(_range(column[here]) for column in found.points.measured.T),
                int(here.sum()),
                int(found.infeasible[at].sum()) if level is None else 0,
            )


def _nearest(found: Dependence) -> npt.NDArray[np.intp]:
    """The index of the value at which each trial is counted."""
    if not found.values:
        return np.zeros(0, dtype=np.intp)
    places = np.array([found.place(v) for v in found.values])
    nearest: npt.NDArray[np.intp] = np.abs(found.points.x[:, None] - places).argmin(axis=1)
    return nearest


def _curve(found: Dependence, objective: int, level: int | None) -> Curve | None:
    panel = found.panels[objective]
    if level is None:
        return panel.curve
    return next((c for each, c in panel.by_level if each == found.levels[level]), None)


def _range(column: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    return (float(column.min()), float(column.max())) if len(column) else None
