"""What each parameter does to each objective: measured points beside what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.data.levels import Level, levels, position
from tuner.results.dependence import Curve
from tuner.results.explain import Explanation
from tuner.spec.space import Parameter, SearchSpace, Value

FIRST = ("concurrency", "replicas", "cpu", "memory", "loss")
"""Parameters that come before any other, in this order."""

_SPREAD = 8.0
"""An axis is logarithmic where its largest number is so many times the smallest, or more."""


@dataclass(frozen=True, eq=False)
class Points:
    """Feasible trials that were measured in full, shape (n,); `measured`, shape (n, m), has the
    objectives in their units. `x` is where they are on the parameter's axis, `level` the index of
    the level they belong to.
    """

    x: Floats
    measured: Floats
    level: Indices
    trial: Indices


@dataclass(frozen=True, eq=False)
class Panel:
    """One objective: `curve` over all scenarios, and one curve for each of some levels.

    `fixed` are the other scenario parameters' values behind the latter.
    """

    metric: str
    curve: Curve | None
    by_level: tuple[tuple[Level, Curve], ...]
    fixed: Mapping[str, Value]
    log: bool


@dataclass(frozen=True, eq=False)
class Dependence:
    """How all objectives depend on one parameter.

    `values` are the axis' marks: all values of the parameter, or those that the model was asked
    about. Points are told apart by `levels` of the scenario parameter `by` (none for ""). At
    `infeasible_x` so many trials (`infeasible`) were not feasible. `absent` trials have no value.
    """

    parameter: Parameter
    values: tuple[Value, ...]
    log: bool
    by: str
    levels: tuple[Level, ...]
    points: Points
    infeasible_x: Floats
    infeasible: Indices
    absent: int
    panels: tuple[Panel, ...]

    def place(self, value: Value) -> float:
        """Where a value is on the axis: a category at its position."""
        return position(self.parameter, value)


def dependences(record: StudyRecord, explanation: Explanation) -> tuple[Dependence, ...]:
    """Of every parameter that has several values, those of `FIRST` first."""
    return tuple(
        _dependence(record, explanation, p)
        for p in ordered(record.search_space)
        if len(p.values() or (0, 1)) > 1
    )


def ordered(space: SearchSpace) -> tuple[Parameter, ...]:
    """The parameters in the order in which they are reported."""
    names = [p.name for p in space]
    first = [space[name] for name in FIRST if name in names]
    return (*first, *(p for p in space if p not in first))


def _dependence(record: StudyRecord, explanation: Explanation, p: Parameter) -> Dependence:
    there = [t for t in record.trials if p.name in t.configuration]
    values = _values(p, explanation, there)
    by = _by(record, explanation, p)
    among, level_of = levels(record, by)
    shown = [t for t in there if t.eligible]
    points = Points(
        np.array([position(p, t.configuration[p.name]) for t in shown], dtype=np.float64),
        np.array([t.values for t in shown], dtype=np.float64).reshape(
            len(shown), len(record.objectives)
        ),
        np.array([level_of(t) for t in shown], dtype=np.intp),
        np.array([t.number for t in shown], dtype=np.intp),
    )
    at, counts = np.unique(
        [_mark(p, values, t.configuration[p.name]) for t in there if not t.feasible],
        return_counts=True,
    )
    panels = tuple(
        _panel(record, explanation, p, by, among, m, points.measured[:, i])
        for i, m in enumerate(o.metric for o in record.objectives)
    )
    return Dependence(
        p,
        values,
        _log(p, values),
        by,
        among,
        points,
        np.asarray(at, dtype=np.float64),
        counts,
        len(record.trials) - len(there),
        panels,
    )


def _values(
    p: Parameter, explanation: Explanation, trials: Sequence[TrialRecord]
) -> tuple[Value, ...]:
    known = p.values()
    if known is not None:
        return known
    asked = next((c.values for c in explanation.curves if c.parameter == p.name), None)
    return asked or tuple(sorted({t.configuration[p.name] for t in trials}))


def _mark(p: Parameter, values: Sequence[Value], value: Value) -> float:
    """Where a trial is counted: at its value, or the nearest mark of a continuum."""
    place = position(p, value)
    if p.values() is not None:
        return place
    return min((float(v) for v in values), key=lambda v: abs(v - place))


def _log(p: Parameter, values: Sequence[Value]) -> bool:
    if not p.ordered:
        return False
    numbers = [float(v) for v in values]
    if not numbers or min(numbers) <= 0:
        return False
    return p.log or max(numbers) >= _SPREAD * min(numbers)


def _by(record: StudyRecord, explanation: Explanation, p: Parameter) -> str:
    """The scenario parameter, other than `p`, that changes the objectives most."""
    names = [
        s.name
        for s in record.search_space.with_role("scenario")
        if s.name != p.name
        and len({t.configuration[s.name] for t in record.trials if s.name in t.configuration}) > 1
    ]
    totals = dict.fromkeys(names, 0.0)
    for i in explanation.importances:
        if i.parameter in totals:
            totals[i.parameter] = max(totals[i.parameter], i.total.value)
    return max(names, key=lambda name: totals[name], default="")


def _panel(
    record: StudyRecord,
    explanation: Explanation,
    p: Parameter,
    by: str,
    among: Sequence[Level],
    metric: str,
    measured: Floats,
) -> Panel:
    curve = next(
        (c for c in explanation.curves if (c.parameter, c.metric) == (p.name, metric)), None
    )
    some = [c for c in explanation.scenario_curves if (c.parameter, c.metric) == (p.name, metric)]
    fixed = _usual(record.search_space, by, some)
    by_level = tuple(
        (level, c)
        for level in among
        if level.value is not None
        for c in some
        if dict(c.scenario) == {**fixed, by: level.value}
    )
    numbers = np.concatenate([measured, *(_numbers(c) for c in (curve,) if c is not None)])
    log = bool(numbers.size and numbers.min() > 0 and numbers.max() >= _SPREAD * numbers.min())
    return Panel(metric, curve, by_level, fixed, log)


def _usual(space: SearchSpace, by: str, curves: Sequence[Curve]) -> dict[str, Value]:
    """The scenario parameters beside `by` at their defaults, or at what comes nearest."""
    found: dict[str, Value] = {}
    for name in {n: None for c in curves for n in c.scenario if n != by}:
        p = space[name]
        known = list(dict.fromkeys(c.scenario[name] for c in curves))
        default = position(p, p.default)
        found[name] = min(known, key=lambda v: abs(position(p, v) - default))
    return found


def _numbers(curve: Curve) -> Floats:
    return np.array([v for v in (*curve.typical.low, *curve.typical.high) if v is not None])
