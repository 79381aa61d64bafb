"""One line of `tune check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.errors import TuneError


@dataclass(frozen=True)
class Check:
    """One line of `tune check`: what was found, or what is wrong and how to mend it."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def checked(name: str, find: Callable[[], str]) -> Check:
    """What `find` finds, or the TuneError that it raises."""
    try:
        return Check(name, True, find())
    except TuneError as error:
        return Check(name, False, error.message, error.mend)
