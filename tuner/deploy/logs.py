"""The logs of replicas as text that is safe on a page, on a terminal and in a JSON document."""

from __future__ import annotations

import re
from collections.abc import Sequence

LINES = 100
BYTES = 8 * 1024
"""The most that is kept, of all replicas of a deployment together."""

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Control sequences of a terminal: CSI, OSC and two-character ones (ECMA-48, 5.3 and 5.4)."""

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters other than tab and newline, and those that change direction or line."""


def harmless(log: bytes) -> str:
    """A log as text. Control sequences are removed; harmful and invalid bytes become U+FFFD."""
    text = log.decode(errors="replace").replace("\r\n", "\n")
    return _HARMFUL.sub("\ufffd", _SEQUENCES.sub("", text))


def lines_each(replicas: int) -> int:
    """How many of its last lines each replica may keep."""
    return max(1, LINES // max(1, replicas))


def joined_logs(logs: Sequence[bytes]) -> str:
    """The last lines of each replica under a heading, in order; empty where none wrote any.

    Without headings it has at most `LINES` lines and `BYTES` bytes of UTF-8. Of a line that is too
    long the end is kept.
    """
    each = BYTES // max(1, len(logs))
    tails = [_last(harmless(log), lines_each(len(logs)), each) for log in logs]
    return "\n".join(f"replica {n}:\n{tail}" for n, tail in enumerate(tails) if tail)


def _last(text: str, lines: int, size: int) -> str:
    tail = "\n".join(text.rstrip("\n").split("\n")[-lines:]).encode()
    # A character that the cut splits is left out.
    return tail[-size:].decode(errors="ignore")
