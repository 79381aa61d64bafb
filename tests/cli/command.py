"""The command line in the tests' own process: an interpreter for each call would cost seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Tune = Callable[..., Ended]
