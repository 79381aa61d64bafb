"""Markdown of which the text that came from elsewhere stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>()#|~!&$^])")
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_LINKS_ITSELF = re.compile(r"(://|www|@)(?=[\w.\\])", re.IGNORECASE)
"""What GitHub's Markdown makes a link without being asked, even of escaped text."""


def inert(text: object) -> str:
    """`text` in one line that reads the same and means nothing, within a sentence or a cell.

    Not for the beginning of a line, where a digit or a hyphen would make a list.
    """
    line = _INVISIBLE.sub(" ", str(text)).strip()
    escaped = _MEANS_SOMETHING.sub(r"\\\1", line)
    return _LINKS_ITSELF.sub("\\1\u2060", escaped)  # a word joiner, which has no width


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
