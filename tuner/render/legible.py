"""Text that is only read, by a person, a document or a terminal."""

from __future__ import annotations

import re

_ILLEGIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Signs that neither an HTML nor an SVG document may hold, those that steer a terminal, and those
that turn the direction of what follows or begin a line. Tab and newline are none."""


def legible(text: str) -> str:
    """`text` with a mark in place of each sign that does more than to be read."""
    return _ILLEGIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
