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
    """Encoded request bodies, and the expected responses in the same order. Never empty.

    A response is None where nobody knows it. `times` are when the requests were sent, in seconds
    since the first, ascending; empty where that was not recorded.
    """

    bodies: tuple[bytes, ...]
    responses: tuple[Any, ...]
    times: tuple[float, ...] = ()

    def answered(self, request: int, body: bytes, tolerance: float) -> bool:
        """Whether `body` is the right answer to the request of that number.

        Where nobody knows that answer, whether it is an answer at all: JSON that is no error.
        """
        try:
            actual = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        expected = self.responses[request]
        if expected is None:
            return not (isinstance(actual, dict) and "error" in actual)
        return matches(expected, actual, tolerance)

    def encoded(self, request: int) -> str:
        """The right answer as text."""
        return json.dumps(self.responses[request])


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
    times: list[float] = []
    for number, pair in json_lines(path, _MEND):
        if not isinstance(pair, dict) or not {"request", "response"} <= pair.keys():
            raise InputError(
                f"{path}, line {number}: the keys `request` and `response` are missing", _MEND
            )
        bodies.append(json.dumps(pair["request"], separators=(",", ":")).encode())
        responses.append(pair["response"])
        if (at := pair.get("at")) is not None:
            if not isinstance(at, int | float) or not at >= (times[-1] if times else 0.0):
                raise InputError(
                    f"{path}, line {number}: `at` is no time after the one before", _MEND
                )
            times.append(float(at))
    if not bodies:
        raise InputError(f"{path}: the file has no golden request", _MEND)
    if times and len(times) < len(bodies):
        raise InputError(f"{path}: some requests have no time `at`, others have one", _MEND)
    return Golden(tuple(bodies), tuple(responses), tuple(times))


def json_lines(path: Path, mend: str) -> Iterator[tuple[int, Any]]:
    """The lines of a file that are not empty, each with its number from 1.

    Raises InputError, with this mend, where it cannot be read or a line is not JSON. NaN and
    infinity are not.
    """
    try:
        with path.open("rb") as file:
            lines = iter(lambda: file.readline(MOST_LINE_BYTES + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > MOST_LINE_BYTES:
                    raise InputError(
                        f"{path}, line {number}: more than {MOST_LINE_BYTES >> 20} MiB", mend
                    )
                if line.strip():
                    yield number, _parsed(path, number, line, mend)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", mend) from error


def _parsed(path: Path, number: int, line: bytes, mend: str) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}: not JSON: {error}", mend) from error


MOST_LINE_BYTES = 256 * 2**20

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
