"""Parameters as written in a file become parameters of a host, checked."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping

from tuner.spec import built_in, dependencies
from tuner.spec.built_in import BUILT_INS
from tuner.spec.expressions import parse_bound, parse_condition
from tuner.spec.host import Host
from tuner.spec.problems import (
    KeyPath,
    Problem,
    UnexpectedError,
    listed_values,
    nearest,
    short_text,
)
from tuner.spec.space import BUILT_IN, Parameter, SearchSpace, Value
from tuner.spec.yaml_documents import ParameterDocument

MOST_GRID_VALUES = 100_000
"""The most values of one parameter. More are hardly meant, and listing them takes memory."""


LARGEST_VALUE = 1e15
"""Up to here every whole number is a float too. Beyond, and below its inverse, models fail."""
EXPECTED_SIZE = f"0, or a number between {1 / LARGEST_VALUE:g} and {LARGEST_VALUE:g} in size"


class ProblemsFoundError(Exception):
    """Carries problems. Their keys begin at the part of the document that has them."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems


def search_space(
    documents: Mapping[str, ParameterDocument | None], host: Host, *, deployed: bool = True
) -> tuple[SearchSpace, list[Problem]]:
    """The space and its problems; a key begins with the parameter's name.

    None stands for a parameter of a wrong shape: it counts as present, and the space lacks it.
    That of an endpoint is not `deployed`.
    """
    parameters: list[Parameter] = []
    problems = list(built_in.missing_parameters(documents, deployed=deployed))
    for name, document in documents.items():
        if document is None:
            continue
        try:
            parameters.append(resolve_parameter(name, document, host))
        except ProblemsFoundError as error:
            problems += [problem.below((name,)) for problem in error.problems]
    setters: dict[tuple[str, str | None], str] = {}
    for parameter in parameters:
        for kind, target in (("flag", parameter.flag), ("env", parameter.env)):
            first = setters.setdefault((kind, target), parameter.name)
            if target is not None and first != parameter.name:
                problems.append(Problem((parameter.name, kind), f"{first!r} sets it already"))
    problems += dependencies.condition_problems(parameters, documents, host)
    return SearchSpace(tuple(parameters)), problems


def resolve_parameter(name: str, document: ParameterDocument, host: Host) -> Parameter:
    """One parameter for `host`. Raises ProblemsFoundError.

    Expressions become numbers. A high bound moves down to the grid. Choices outside `low` and
    `high` are left out.
    """
    _refuse(_name(name, document), _shape(document))
    if document.type == "categorical":
        choices = tuple(document.choices or ())
        parameter = _parameter(name, document, default=document.default, choices=choices)
    else:
        parameter = _numeric(name, document, host)
    _refuse(_default(parameter, document), built_in.check_built_in(parameter, document.unit, host))
    return parameter


def _refuse(*checks: Iterator[Problem]) -> None:
    if problems := [problem for check in checks for problem in check]:
        raise ProblemsFoundError(*problems)


def _name(name: str, document: ParameterDocument) -> Iterator[Problem]:
    """Problems of the name, and of the flag or variable that such a parameter sets."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        yield Problem((), "expected a name of small letters, digits and _")
    ways = [key for key in ("flag", "env") if getattr(document, key) is not None]
    if name in BUILT_INS:
        yield from (Problem((key,), "a built-in parameter sets no flag or env") for key in ways)
    elif len(ways) != 1:
        hint = nearest(name, BUILT_IN)
        yield Problem((), f"expected either flag or env, because it is not built in{hint}")


def _shape(document: ParameterDocument) -> Iterator[Problem]:
    """Problems of keys that do not go together."""
    given = [key for key in ("low", "high", "step") if getattr(document, key) is not None]
    given += ["log"] if document.log else []
    if document.type == "categorical":
        yield from (Problem((key,), "a categorical parameter has only choices") for key in given)
        if document.choices is None:
            yield Problem((), "expected choices, because the parameter is categorical")
    elif document.choices is not None:
        for key in {"step", "log"}.intersection(given):
            yield Problem((key,), "needs low and high; it does not go with choices")
    else:
        for key in sorted({"low", "high"}.difference(given)):
            yield Problem((), f"expected choices, or low and high; {key} is missing")
        if document.log and document.step is not None:
            yield Problem((), "log and step exclude each other; expected one of them")


def _numeric(name: str, document: ParameterDocument, host: Host) -> Parameter:
    keys: list[KeyPath] = [("choices", i) for i in range(len(document.choices or ()))]
    single = ("low", "high", "step", "default")
    keys += [(key,) for key in single if getattr(document, key) is not None]
    numbers: dict[KeyPath, float] = {}
    problems = []
    for key in keys:
        try:
            numbers[key] = _number(document, key, host)
        except UnexpectedError as error:
            problems.append(Problem(key, error.message))
    if problems:
        raise ProblemsFoundError(*problems)
    low, high, step = (numbers.get((key,)) for key in ("low", "high", "step"))
    default = numbers["default",]
    if document.choices is not None:
        choices = [numbers[key] for key in keys if key[0] == "choices"]
        chosen = _chosen(document, choices, low, high)
        return _parameter(name, document, default=default, choices=chosen)
    assert low is not None
    assert high is not None
    _refuse(_range(document, low, high, step))
    if document.type == "int" and not document.log:
        step = step or 1
    if step is not None:
        # An expression of the host often gives a bound that is not on the grid.
        high = low + math.floor((high - low) / step + 1e-9) * step
        high = round(high, 10) if document.type == "float" else high
    return _parameter(name, document, default=default, low=low, high=high, step=step)


def _number(document: ParameterDocument, key: KeyPath, host: Host) -> float:
    """The number at `key`, an int for an int parameter. Raises UnexpectedError."""
    written = getattr(document, str(key[0]))
    if len(key) == 2:
        written = written[key[1]]
    number = parse_bound(written, host)
    if not (number == 0 or 1 / LARGEST_VALUE <= abs(number) <= LARGEST_VALUE):
        raise UnexpectedError(EXPECTED_SIZE, written)
    if document.type == "float":
        # Twelve digits, so that 3 * 0.1 is the 0.3 of a grid.
        return float(f"{number:.12g}")
    if number.is_integer():
        return int(number)
    if isinstance(written, str):
        hint = f", which is {number:g} here; // divides to a whole number"
        raise UnexpectedError("a whole number", written, hint)
    raise UnexpectedError("a whole number", written)


def _chosen(
    document: ParameterDocument, choices: list[float], low: float | None, high: float | None
) -> tuple[float, ...]:
    """The choices that this host offers, ascending. Raises ProblemsFoundError."""
    # The value of an expression depends on the host, so its place does not matter.
    if not any(isinstance(choice, str) for choice in document.choices or ()):
        _refuse(
            Problem(("choices", i + 1), f"expected more than {former:g}, found {choice:g}")
            for i, (former, choice) in enumerate(itertools.pairwise(choices))
            if choice <= former
        )
    bottom = -math.inf if low is None else low
    top = math.inf if high is None else high
    kept = tuple(sorted({choice for choice in choices if bottom <= choice <= top}))
    if not kept:
        limits = [f"{bottom:g} or more"] * (low is not None) + [f"{top:g} or less"] * (
            high is not None
        )
        text = f"expected at least one choice that is {' and '.join(limits)} on this host"
        raise ProblemsFoundError(Problem(("choices",), text))
    return kept


def _range(
    document: ParameterDocument, low: float, high: float, step: float | None
) -> Iterator[Problem]:
    if low > high:
        yield Problem(("high",), f"expected at least low, which is {low:g}, found {high:g}")
    if document.log and low <= 0:
        yield Problem(("low",), f"expected a number > 0 because of log, found {low:g}")
    if step is not None and step <= 0:
        yield Problem(("step",), f"expected a number > 0, found {step:g}")
    elif (step or document.type == "int") and (high - low) / (step or 1) >= MOST_GRID_VALUES:
        yield Problem((), f"expected at most {MOST_GRID_VALUES} values; a larger step gives fewer")


def _parameter(
    name: str,
    document: ParameterDocument,
    *,
    default: Value,
    choices: tuple[Value, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
) -> Parameter:
    return Parameter(
        name=name,
        type=document.type,
        role=document.role,
        default=default,
        choices=choices,
        low=low,
        high=high,
        step=step,
        log=document.log,
        unit=document.unit or (BUILT_INS[name].unit if name in BUILT_INS else ""),
        description=document.description,
        flag=document.flag,
        env=document.env,
        when=None if document.when is None else parse_condition(document.when),
    )


def _default(parameter: Parameter, document: ParameterDocument) -> Iterator[Problem]:
    """The default must be a value of the parameter."""
    key, default, shown = ("default",), parameter.default, short_text(parameter.default)
    values = parameter.values()
    if values is None:
        low, high = parameter.low, parameter.high
        if not low <= default <= high:  # type: ignore[operator] # both are numbers: a continuum
            yield Problem(key, f"expected {low:g} to {high:g}, found {shown}")
    elif parameter.type == "categorical":
        # True == 1 in Python; in a study file they are different values.
        kinds = [(type(choice), choice) for choice in values]
        if (type(default), default) not in kinds:
            hint = nearest(default, map(str, values))
            yield Problem(
                key, f"expected one of the choices {listed_values(values)}, found {shown}{hint}"
            )
        if len(set(kinds)) < len(kinds):
            yield Problem(("choices",), "expected each choice once")
    elif default not in values:
        text = f"expected one of the values {listed_values(values)}, found {shown}"
        if isinstance(document.high, str) and not isinstance(document.default, str):
            text += f"; 'min({document.default}, {document.high})' would adapt it to the host"
        yield Problem(key, text)
