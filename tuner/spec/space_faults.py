"""Whether a search space that was not read from a user's file can be one at all."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.spec.built_in import check_built_in
from tuner.spec.host import Host
from tuner.spec.parameters import LARGEST_VALUE, MOST_GRID_VALUES
from tuner.spec.problems import Problem
from tuner.spec.space import Parameter, SearchSpace

_ANY_HOST = Host(cpus=2**31, memory_mib=2**31)


def space_faults(space: SearchSpace) -> Iterator[Problem]:
    """What contradicts the promises of `SearchSpace` and `Parameter`, if anything does."""
    for parameter in space:
        faults = list(_faults(parameter)) or check_built_in(parameter, parameter.unit, _ANY_HOST)
        yield from (fault.below((parameter.name,)) for fault in faults)
    placed: set[str] = set()
    while waiting := [p for p in space if p.name not in placed]:
        free = [p.name for p in waiting if p.when is None or p.when.parameter in placed]
        if not free:
            text = "expected a condition on another parameter, in no circle"
            yield Problem((waiting[0].name, "when"), text)
            return
        placed.update(free)


def _faults(parameter: Parameter) -> Iterator[Problem]:
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.when is not None and not parameter.when.values:
        yield Problem(("when", "values"), "expected a value, found nothing")
    if parameter.choices is not None:
        if not parameter.choices or (parameter.ordered and not _are_numbers(parameter.choices)):
            yield Problem(("choices",), f"expected values of the type {parameter.type}")
            return
    elif not parameter.ordered:
        yield Problem(("choices",), "the key is missing")
        return
    elif low is None or high is None or not -LARGEST_VALUE <= low <= high <= LARGEST_VALUE:
        yield Problem(("low",), f"expected numbers, low <= high, up to {LARGEST_VALUE:g}")
        return
    elif not _grid(parameter.type == "int", low, high, step):
        yield Problem(("step",), f"expected a number > 0, for at most {MOST_GRID_VALUES} values")
        return
    elif parameter.log and low <= 0:
        yield Problem(("low",), "expected a number > 0, as log is true")
    if not parameter.takes(parameter.default):
        yield Problem(("default",), "expected one of the values")


def _grid(whole: bool, low: float, high: float, step: float | None) -> bool:
    """Whether the values can be listed, or are a continuum."""
    if step is None and not whole:
        return True
    step = 1 if step is None else step
    return step >= (1 if whole else 1 / LARGEST_VALUE) and (high - low) / step <= MOST_GRID_VALUES


def _are_numbers(values: tuple[object, ...]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
