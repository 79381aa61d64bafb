"""Reads `--when`, which names one measured scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.errors import InputError
from tuner.measure.record import StudyRecord
from tuner.spec.problems import listed_values, nearest
from tuner.spec.space import Configuration, Parameter, Value, as_text

_SHOWN = 8
"""The most scenarios that a message lists."""


def scenario(study: StudyRecord, text: str) -> Configuration:
    """The measured scenario of `study` that `text` names, such as `loss=1,concurrency=8`.

    A parameter may be left out where the others leave only one scenario. For any other text it
    raises InputError with the measured levels.
    """
    measured = tuple(dict.fromkeys(study.scenario_of(t.configuration) for t in study.trials))
    parameters = _parameters(study)
    if not parameters:
        raise InputError(f"study {study.name!r} has no scenario parameter", "leave out --when")
    if not measured:
        raise InputError(f"study {study.name!r} has no finished trial", "run it first")
    levels: dict[str, Value] = {}
    for part in text.split(","):
        name, sign, word = (piece.strip() for piece in part.partition("="))
        if not sign or name in levels:
            raise InputError(
                f"--when {text!r} is not a scenario", f"expected {_example(parameters, measured)}"
            )
        parameter = _parameter(study, name, measured)
        levels[name] = _level(parameter, word, measured)
    fitting = [s for s in measured if all(s.get(name) == value for name, value in levels.items())]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputError(
            f"no trial of study {study.name!r} was measured at {Configuration.of(levels)}",
            f"measured are {'; '.join(map(str, _ordered(parameters, measured)[:_SHOWN]))}",
        )
    missing = [
        p for p in parameters if p.name not in levels and len({s.get(p.name) for s in fitting}) > 1
    ]
    raise InputError(
        f"--when {text!r} fits {len(fitting)} scenarios",
        "add " + " and ".join(_levels_of(p, fitting) for p in missing),
    )


def _parameters(study: StudyRecord) -> tuple[Parameter, ...]:
    return tuple(p for p in study.search_space if p.name in study.scenario_parameters)


def _parameter(study: StudyRecord, name: str, measured: Sequence[Configuration]) -> Parameter:
    parameters = _parameters(study)
    levels = ", ".join(_levels_of(p, measured) for p in parameters)
    for parameter in study.search_space:
        if parameter.name == name and parameter in parameters:
            return parameter
        if parameter.name == name:
            raise InputError(
                f"{name} is a decision, not a part of a scenario",
                f"--when takes {levels}; --pick chooses among decisions",
            )
    hint = nearest(name, [p.name for p in parameters])
    raise InputError(
        f"study {study.name!r} has no parameter {name!r}{hint}", f"--when takes {levels}"
    )


def _level(parameter: Parameter, word: str, measured: Sequence[Configuration]) -> Value:
    for value in _levels(parameter, measured):
        if _means(word, value):
            return value
    raise InputError(
        f"no trial was measured at {parameter.name}={word}",
        f"measured are {_levels_of(parameter, measured)}",
    )


def _means(word: str, value: Value) -> bool:
    if word == as_text(value):
        return True
    if isinstance(value, (bool, str)):
        return False
    try:
        return math.isclose(float(word), value, rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False


def _levels(parameter: Parameter, measured: Sequence[Configuration]) -> list[Value]:
    """The measured values, numbers ascending."""
    values = list(dict.fromkeys(s[parameter.name] for s in measured if parameter.name in s))
    numbers = [v for v in values if not isinstance(v, str)]
    return [*sorted(numbers), *(v for v in values if isinstance(v, str))]


def _ordered(
    parameters: Sequence[Parameter], measured: Sequence[Configuration]
) -> list[Configuration]:
    """Scenarios by their values, the first parameter's first."""
    levels = {p.name: _levels(p, measured) for p in parameters}
    return sorted(measured, key=lambda s: [levels[n].index(s[n]) if n in s else -1 for n in levels])


def _levels_of(parameter: Parameter, measured: Sequence[Configuration]) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    return f"{parameter.name} ({listed_values(_levels(parameter, measured))}{unit})"


def _example(parameters: Sequence[Parameter], measured: Sequence[Configuration]) -> str:
    if measured[0]:
        return "something like " + str(measured[0]).replace(" ", ",")
    return " and ".join(f"{p.name}=VALUE" for p in parameters)
