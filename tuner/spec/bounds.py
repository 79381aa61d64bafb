"""Numbers in YAML that may refer to the host, such as `min(2 * host.cpus, 8)`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import asdict

from tuner.spec.host import Host
from tuner.spec.problems import UnexpectedError, nearest

EXPECTED = "a number or an expression of numbers, host.cpus, host.memory_mib, + - * / //, min, max"
LONGEST = 200

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max}


def resolve(expression: object, host: Host) -> float:
    """The number that `expression`, itself a number or text, stands for on `host`.

    Raises UnexpectedError (an InputError) where it is anything else or not finite.
    """
    if isinstance(expression, bool) or not isinstance(expression, (int, float, str)):
        raise UnexpectedError(EXPECTED, expression)
    try:
        number = _parsed(expression, host) if isinstance(expression, str) else float(expression)
    except ZeroDivisionError as error:
        raise UnexpectedError(EXPECTED, expression, ", which divides by zero") from error
    except OverflowError as error:
        raise UnexpectedError("a finite number", expression) from error
    if not math.isfinite(number):
        raise UnexpectedError("a finite number", expression)
    return number


def _parsed(expression: str, host: Host) -> float:
    if len(expression) > LONGEST:
        raise UnexpectedError(f"at most {LONGEST} characters", expression)
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnexpectedError(EXPECTED, expression) from error
    return _value(tree.body, host, expression)


def _value(node: ast.AST, host: Host, whole: str) -> float:
    match node:
        case ast.Constant(value=number) if type(number) in {int, float}:
            return float(number)  # type: ignore[arg-type] # mypy does not narrow by the guard
        case ast.Attribute(value=ast.Name(id="host"), attr=name):
            facts = asdict(host)
            if name not in facts:
                hint = nearest(f"host.{name}", [f"host.{known}" for known in facts])
                raise UnexpectedError(EXPECTED, whole, hint)
            return float(facts[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, host, whole)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, host, whole), _value(right, host, whole))
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as arguments, keywords=[]) if (
            name in _FUNCTIONS
        ):
            return _FUNCTIONS[name]([_value(argument, host, whole) for argument in arguments])
        case _:
            raise UnexpectedError(EXPECTED, whole)
