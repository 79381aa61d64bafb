"""Between the project's parameters and Optuna's distributions: as stored, and as samplers see them.

Stored are the values themselves, so that every Optuna tool shows what was deployed. A sampler
must know that 2 CPUs lie between 1 and 4, which a categorical distribution does not say: for it,
ordered choices become their positions, the integers from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tuner.spec.space import Configuration, Parameter, SearchSpace, Value


def stored(parameter: Parameter) -> BaseDistribution:
    """The distribution of a parameter's real values.

    Where a parameter has both a step and a logarithmic scale the step decides: Optuna knows no
    distribution with both.
    """
    if parameter.choices is not None:
        return CategoricalDistribution(parameter.choices)
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.type == "int":
        step = int(parameter.step or 1)
        log = parameter.log and step == 1
        return IntDistribution(int(parameter.low), int(parameter.high), log=log, step=step)
    log = parameter.log and parameter.step is None
    return FloatDistribution(parameter.low, parameter.high, log=log, step=parameter.step)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Every parameter's stored distribution."""
    return {parameter.name: stored(parameter) for parameter in space}


def viewed(parameter: Parameter) -> BaseDistribution:
    """The distribution that a sampler sees."""
    if parameter.choices is not None and parameter.ordered:
        return IntDistribution(0, len(parameter.choices) - 1)
    return stored(parameter)


def to_view(parameter: Parameter, value: Value) -> Value:
    """A real value as a sampler sees it. Raises ValueError for a value that is not a choice."""
    if parameter.choices is not None and parameter.ordered:
        return parameter.choices.index(value)
    return value


def from_view(parameter: Parameter, value: Value) -> Value:
    """The inverse of `to_view`."""
    if parameter.choices is not None and parameter.ordered:
        return parameter.choices[int(value)]
    return value


def configuration(space: SearchSpace, params: Mapping[str, Any]) -> Configuration:
    """The configuration that a trial's stored `params` mean.

    Stepped floats are returned as the space spells them, free of rounding. Raises KeyError where
    an active parameter is missing.
    """
    return space.effective({p.name: snapped(p, params[p.name]) for p in space if p.name in params})


def configuration_of(space: SearchSpace, trial: FrozenTrial) -> Configuration | None:
    """What a trial was asked, or is to be asked; None while the storage has not all of it."""
    params: dict[str, Any] = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    try:
        return configuration(space, params)
    except KeyError:
        return None


def snapped(parameter: Parameter, value: Value) -> Value:
    """A stepped float as the space spells it, free of rounding; any other value as it is."""
    if parameter.type != "float" or parameter.step is None or parameter.low is None:
        return value
    steps = round((float(value) - parameter.low) / parameter.step)
    return round(parameter.low + steps * parameter.step, 10)


class AskedConfigurations:
    """What the trials of a study of `space` were asked; that of a finished trial is read once."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._read: dict[int, tuple[FrozenTrial, Configuration | None]] = {}

    def of(self, trial: FrozenTrial) -> Configuration | None:
        """As `configuration_of`."""
        if not trial.state.is_finished():
            return configuration_of(self._space, trial)
        read = self._read.get(trial.number)
        # A finished trial never changes. Another object is a trial of another study.
        if read is None or read[0] is not trial:
            read = trial, configuration_of(self._space, trial)
            self._read[trial.number] = read
        return read[1]
