"""Durations written as text: `15 min`, `1 h 30 min`, `90 s`."""

from __future__ import annotations

import re

from tuner.spec.problems import UnexpectedError

EXPECTED = "a duration above zero such as '15 min', '90 s' or '1 h 30 min'"

_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_PART = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(d|h|min|s)(?![a-z])\s*")


def parse(text: str) -> float:
    """The seconds that `text` stands for; each unit (d, h, min, s) at most once, largest first.

    Raises UnexpectedError (an InputError) otherwise.
    """
    rest, units, seconds = text.strip(), list(_SECONDS), 0.0
    while rest:
        part = _PART.match(rest)
        if part is None or part[2] not in units:
            raise UnexpectedError(EXPECTED, text)
        seconds += float(part[1]) * _SECONDS[part[2]]
        units = units[units.index(part[2]) + 1 :]
        rest = rest[part.end() :]
    if seconds <= 0:
        raise UnexpectedError(EXPECTED, text)
    return seconds
