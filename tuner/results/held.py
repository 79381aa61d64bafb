"""A search space in which some parameters are held at a value, such as those of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tuner.errors import InputError
from tuner.spec.space import Parameter, SearchSpace, Value, as_text


def held(space: SearchSpace, settings: Sequence[str]) -> dict[str, Value]:
    """The values that settings such as `loss=0` stand for, by parameter.

    Raises InputError for what is no parameter of the space, and for a value that it cannot have.
    """
    values: dict[str, Value] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        names = [p.name for p in space]
        if not sign or name not in names:
            raise InputError(
                f"--at {setting}: expected NAME=VALUE with a parameter of the study",
                f"parameters: {', '.join(names)}",
            )
        values[name] = _value(space[name], setting, text)
    return values


def _value(parameter: Parameter, setting: str, text: str) -> Value:
    values = parameter.values()
    for value in values or ():
        if as_text(value) == text or (parameter.ordered and _number(text) == value):
            return value
    if values is None and (number := _number(text)) is not None:
        assert parameter.low is not None
        assert parameter.high is not None
        if parameter.low <= number <= parameter.high:
            return number
    expected = (
        f"{parameter.low:g} to {parameter.high:g}"
        if values is None
        else ", ".join(f"{v:g}" if isinstance(v, float) else as_text(v) for v in values)
    )
    raise InputError(f"--at {setting}: not a value of {parameter.name}", f"its values: {expected}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def pinned(space: SearchSpace, values: Mapping[str, Value]) -> SearchSpace:
    """The space in which these parameters have one value each."""

    def pin(p: Parameter) -> Parameter:
        if p.name not in values:
            return p
        value = values[p.name]
        return replace(p, choices=(value,), default=value, low=None, high=None, step=None)

    return SearchSpace(tuple(map(pin, space)))
