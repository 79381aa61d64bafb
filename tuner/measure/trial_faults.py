"""Whether trials can be those of one study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tuner.spec.built_in import missing_parameters
from tuner.spec.problems import KeyPath, Problem
from tuner.spec.space import Parameter, SearchSpace, Value
from tuner.spec.study import StudySpec

if TYPE_CHECKING:
    from tuner.measure.record import TrialRecord


def trial_faults(study: StudySpec, trials: Sequence[TrialRecord]) -> Iterator[Problem]:
    """What of the trials, in their order, does not go with the study."""
    names = [p.name for p in study.search_space]
    for missing in missing_parameters(names, deployed=study.endpoint is None):
        yield missing.below(("specification", "search_space"))
    before = -1
    objectives = [o.metric for o in study.objectives]
    for index, trial in enumerate(trials):
        at: KeyPath = ("trials", index)
        if trial.number <= before:
            yield Problem((*at, "number"), f"expected a number above {before}")
        before = trial.number
        for fault in configuration_faults(study.search_space, trial.configuration):
            yield fault.below((*at, "configuration"))
        if len(trial.values) != len(objectives):
            yield Problem((*at, "values"), f"expected {len(objectives)} numbers")
        if trial.measurement is None and trial.outcome != "infeasible":
            yield Problem((*at, "measurement"), f"expected one of a trial that is {trial.outcome}")
        for metric in objectives:
            if trial.measurement is not None and metric not in trial.measurement.metrics:
                yield Problem((*at, "measurement", "metrics", metric), "the key is missing")


def configuration_faults(space: SearchSpace, values: Mapping[str, Value]) -> Iterator[Problem]:
    """What is not as in a configuration of the space."""
    active: dict[str, Value] = {}
    for parameter in space.parents_first:
        if parameter.active_in(active):
            if parameter.name not in values:
                yield Problem((parameter.name,), "the key is missing")
                return
            active[parameter.name] = values[parameter.name]
    for name, value in values.items():
        if name not in active:
            yield Problem((name,), "expected no such parameter")
        elif not _of_type(space[name], value):
            yield Problem((name,), f"expected a value of the type {space[name].type}")


def _of_type(parameter: Parameter, value: Value) -> bool:
    if parameter.type == "categorical":
        return True
    numbers = int if parameter.type == "int" else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool)
