"""What replicas wrote, as text that a page, a terminal and a JSON document can hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

LINES = 100
BYTES = 8 * 1024
"""The most that is kept of all replicas of a deployment together."""

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""A terminal's control sequences: CSI, OSC and those of two characters (ECMA-48, 5.3 and 5.4)."""

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and what changes the direction or the line of text."""


def harmless(log: bytes) -> str:
    """A log as text; what acts on a terminal or page or is not UTF-8 becomes U+FFFD or nothing."""
    text = log.decode(errors="replace").replace("\r\n", "\n")
    return _HARMFUL.sub("\ufffd", _SEQUENCES.sub("", text))


def lines_each(replicas: int) -> int:
    """How many of its last lines each of so many replicas may keep."""
    return max(1, LINES // max(1, replicas))


def joined_logs(logs: Sequence[bytes]) -> str:
    """The last lines of each replica under a heading, in order; empty where none wrote any.

    At most `LINES` lines and `BYTES` bytes of UTF-8 of what was written; of a line that is too long
    the end is kept.
    """
    each = BYTES // max(1, len(logs))
    tails = [_last(harmless(log), lines_each(len(logs)), each) for log in logs]
    return "\n".join(f"replica {n}:\n{tail}" for n, tail in enumerate(tails) if tail)


def _last(text: str, lines: int, size: int) -> str:
    tail = "\n".join(text.rstrip("\n").split("\n")[-lines:]).encode()
    # A character that the cut went through is left out.
    return tail[-size:].decode(errors="ignore")
