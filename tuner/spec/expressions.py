"""What a study file writes as text: bounds, conditions, constraints and durations.

Each `parse_...` raises UnexpectedError (an InputError) for a text of any other form.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

from tuner.errors import InputError
from tuner.spec import yaml
from tuner.spec.host import Host
from tuner.spec.metrics import METRICS
from tuner.spec.problems import UnexpectedError, nearest
from tuner.spec.space import Condition, ConditionOperator, Value
from tuner.spec.study import Constraint

EXPECTED_BOUND = (
    "a number or an expression of numbers, host.cpus, host.memory_mib, + - * / //, min, max"
)
EXPECTED_CONDITION = "a condition such as 'batching == true', 'mode != fast' or 'cpu in [1, 2]'"
EXPECTED_CONSTRAINT = "a constraint such as 'p95_ms <= 80' (a metric, <= or >=, a number)"
EXPECTED_DURATION = "a duration above zero such as '15 min', '90 s' or '1 h 30 min'"

LONGEST_BOUND = 200
"""Characters."""

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_BOUND_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max}

# Matched with a text without blanks around it. No part of a text can match in two ways, so that no
# text takes quadratic time.
_CONDITION = re.compile(r"([a-z][a-z0-9_]*)\s*(==|!=|\bin\b)\s*(\S.*)", re.DOTALL)

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_CONSTRAINT = re.compile(rf"([A-Za-z][A-Za-z0-9_]*)\s*(<=|>=)\s*({_NUMBER})")

_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_DURATION_PART = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(d|h|min|s)(?![a-z])\s*")


def parse_bound(expression: object, host: Host) -> float:
    """The number that a bound such as `min(2 * host.cpus, 8)` is on `host`.

    `expression` is a number or a text. The result is finite.
    """
    if isinstance(expression, bool) or not isinstance(expression, (int, float, str)):
        raise UnexpectedError(EXPECTED_BOUND, expression)
    try:
        number = _evaluated(expression, host) if isinstance(expression, str) else float(expression)
    except ZeroDivisionError as error:
        raise UnexpectedError(EXPECTED_BOUND, expression, ", which divides by zero") from error
    except OverflowError as error:
        raise UnexpectedError("a finite number", expression) from error
    if not math.isfinite(number):
        raise UnexpectedError("a finite number", expression)
    return number


def _evaluated(expression: str, host: Host) -> float:
    if len(expression) > LONGEST_BOUND:
        raise UnexpectedError(f"at most {LONGEST_BOUND} characters", expression)
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's advice on `1if`
            tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnexpectedError(EXPECTED_BOUND, expression) from error
    return _value_of(tree.body, host, expression)


def _value_of(node: ast.AST, host: Host, expression: str) -> float:
    match node:
        case ast.Constant(value=number) if type(number) in {int, float}:
            return float(number)  # type: ignore[arg-type] # mypy does not narrow by the guard
        case ast.Attribute(value=ast.Name(id="host"), attr=name):
            facts = asdict(host)
            if name not in facts:
                hint = nearest(f"host.{name}", [f"host.{fact}" for fact in facts])
                raise UnexpectedError(EXPECTED_BOUND, expression, hint)
            return float(facts[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value_of(operand, host, expression)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            left_value = _value_of(left, host, expression)
            return _BINARY[type(op)](left_value, _value_of(right, host, expression))
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as arguments, keywords=[]) if (
            name in _BOUND_FUNCTIONS
        ):
            values = [_value_of(argument, host, expression) for argument in arguments]
            return _BOUND_FUNCTIONS[name](values)
        case _:
            raise UnexpectedError(EXPECTED_BOUND, expression)


def parse_condition(text: str) -> Condition:
    """A condition such as `batching == true`, `mode != fast` or `cpu in [1, 2]`.

    On the left is a parameter. `==` and `!=` take a value, `in` takes a list of values in brackets.
    A value is written as in a YAML file: 1, 1e-3, true, fast, "1".
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UnexpectedError(EXPECTED_CONDITION, text)
    name, comparison, right = match.groups()
    try:
        data = yaml.parse_yaml(right, Path("when")).data
    except InputError as error:
        raise UnexpectedError(EXPECTED_CONDITION, text) from error
    in_brackets = right.startswith("[")
    values = data if in_brackets else [data]
    if in_brackets != (comparison == "in") or not values or not all(map(_is_value, values)):
        raise UnexpectedError(EXPECTED_CONDITION, text)
    return Condition(
        name, cast("ConditionOperator", comparison), tuple(cast("list[Value]", values))
    )


def _is_value(data: object) -> bool:
    return isinstance(data, (bool, int, float, str))


def parse_constraint(text: str) -> Constraint:
    """A constraint such as `p95_ms <= 80`; the bound is in the metric's own unit."""
    match = _CONSTRAINT.fullmatch(text.strip())
    if match is None:
        raise UnexpectedError(EXPECTED_CONSTRAINT, text)
    metric, sign, bound = match.groups()
    check_metric(metric)
    number = float(bound)
    if not math.isfinite(number):
        raise UnexpectedError("a finite number as bound", text)
    return Constraint(metric, "<=" if sign == "<=" else ">=", number)


def check_metric(name: str) -> str:
    """`name` itself where it is the name of a metric; raises UnexpectedError otherwise."""
    if name not in METRICS:
        hint = nearest(name, METRICS) or f"; the metrics are {', '.join(METRICS)}"
        raise UnexpectedError("the name of a metric", name, hint)
    return name


def parse_duration(text: str) -> float:
    """The seconds in a duration such as `1 h 30 min`.

    Each unit (d, h, min, s) stands at most once, the largest first.
    """
    rest, units, seconds = text.strip(), list(_SECONDS), 0.0
    while rest:
        part = _DURATION_PART.match(rest)
        if part is None or part[2] not in units:
            raise UnexpectedError(EXPECTED_DURATION, text)
        seconds += float(part[1]) * _SECONDS[part[2]]
        units = units[units.index(part[2]) + 1 :]
        rest = rest[part.end() :]
    if seconds <= 0:
        raise UnexpectedError(EXPECTED_DURATION, text)
    return seconds
