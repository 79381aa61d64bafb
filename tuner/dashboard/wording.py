"""How metrics and their intervals are written in notes and attributes."""

from __future__ import annotations

from tuner.measure.measurement import Estimate
from tuner.reading.wording import figure


def interval(found: Estimate) -> str:
    """The 95 % interval, `2.2 to 4.0`; empty where none is known."""
    if found.low is None or found.high is None:
        return ""
    return f"{figure(found.low)} to {figure(found.high)}"


def stated(found: Estimate) -> str:
    """A value and its interval, `3.1 (2.2 to 4.0)`."""
    known = interval(found)
    return f"{figure(found.value)} ({known})" if known else figure(found.value)
