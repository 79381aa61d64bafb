"""Golden requests: bodies to send to a model, and the answers that it must give."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tuner.errors import InputError, SetupError


@dataclass(frozen=True)
class Golden:
    """Encoded request bodies, and the expected responses in the same order. Never empty."""

    bodies: tuple[bytes, ...]
    responses: tuple[Any, ...]

    def answered(self, request: int, body: bytes, tolerance: float) -> bool:
        """Whether `body` is the right answer to the request of that number."""
        try:
            actual = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        return matches(self.responses[request], actual, tolerance)


def load_golden(path: Path) -> Golden:
    """Read JSON lines, each `{"request": ..., "response": ...}`.

    Raises SetupError where there is no file, InputError for a line of another form.
    """
    if not path.exists():
        raise SetupError(
            f"{path}: there are no golden requests", "Build the model: `tune models build`."
        )
    bodies: list[bytes] = []
    responses: list[Any] = []
    for number, pair in json_lines(path, _MEND):
        if not isinstance(pair, dict) or not {"request", "response"} <= pair.keys():
            raise InputError(
                f"{path}, line {number}: the keys `request` and `response` are missing", _MEND
            )
        bodies.append(json.dumps(pair["request"], separators=(",", ":")).encode())
        responses.append(pair["response"])
    if not bodies:
        raise InputError(f"{path}: the file has no golden request", _MEND)
    return Golden(tuple(bodies), tuple(responses))


def json_lines(path: Path, mend: str) -> Iterator[tuple[int, Any]]:
    """The lines of a file that are not empty, each with its number from 1.

    Raises InputError, with this mend, where it cannot be read or a line is not JSON. NaN and
    infinity are not.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", mend) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error}", mend) from error


_MEND = 'Each line is one `{"request": <body of :predict>, "response": <expected body>}`.'


def matches(expected: object, actual: object, tolerance: float) -> bool:
    """Whether two JSON values are equal, numbers within `tolerance`.

    Numbers may differ by `tolerance`, absolutely or relative to the larger one; lists must agree
    in length and order, objects in their keys. A boolean is not a number.
    """
    match expected:
        case bool() | str() | None:
            return type(expected) is type(actual) and bool(expected == actual)
        case int() | float():
            if isinstance(actual, bool) or not isinstance(actual, int | float):
                return False
            if expected != expected or actual != actual:  # noqa: PLR0124 -- only a NaN differs from itself
                return expected != expected and actual != actual  # noqa: PLR0124
            return math.isclose(expected, actual, rel_tol=tolerance, abs_tol=tolerance)
        case list():
            return (
                isinstance(actual, list)
                and len(expected) == len(actual)
                and all(matches(e, a, tolerance) for e, a in zip(expected, actual, strict=True))
            )
        case dict():
            return (
                isinstance(actual, dict)
                and expected.keys() == actual.keys()
                and all(matches(expected[key], actual[key], tolerance) for key in expected)
            )
    raise TypeError(f"not a JSON value: {type(expected).__name__}")
