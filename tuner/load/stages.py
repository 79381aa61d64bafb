"""In which window of an exploring burst each stage is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tuner.errors import InputError
from tuner.spec.study import LoadProfile, Stage

SETTLING_SECONDS = 0.5
SETTLING_SHARE = 0.25
"""The first part of a step, which is not measured; `SETTLING_SECONDS` where that is longer."""


class TickSpan(NamedTuple):
    """A window, in whole ticks since the stages began."""

    first: int
    last: int


def stage_windows(stages: Sequence[Stage], tick_seconds: float, batch: int) -> tuple[TickSpan, ...]:
    """The window of each stage, at least `batch` ticks long.

    The window of a ramp is all of it. That of a step begins after its settling and has whole
    batches. Raises InputError for a stage that is too short.
    """
    windows, began = [], 0.0
    for number, stage in enumerate(stages, 1):
        end = began + stage.seconds
        start = began + (_settling(stage) if stage.start == stage.end else 0.0)
        # Rounded, so that a sum of decimal fractions is still a whole tick.
        first = math.ceil(round(start / tick_seconds, 6))
        last = math.floor(round(end / tick_seconds, 6))
        if last - first < batch:
            raise InputError(
                f"stage {number} of {stage.seconds:g} s is too short to be measured",
                f"Give it {_settling(stage) + (batch + 1) * tick_seconds:g} s or more.",
            )
        if stage.start == stage.end:
            first += (last - first) % batch
        windows.append(TickSpan(first, last))
        began = end
    return tuple(windows)


def check_stages(stages: Sequence[Stage], profile: LoadProfile) -> None:
    """Raises InputError for stages that the connections of `profile` cannot go through."""
    if not stages:
        raise InputError("there is no stage to go through", "Give at least one stage.")
    for stage in stages:
        levels = stage.start, stage.end
        if min(levels) < 0 or not all(map(math.isfinite, (*levels, stage.seconds))):
            raise InputError(f"{stage}: expected finite levels of 0 or more, and a finite length")
        if profile.rate_rps is None and max(levels) > profile.concurrency:
            raise InputError(
                f"{stage}: there are {profile.concurrency} connections",
                "Set the concurrency to the largest level.",
            )


def stage_text(stage: Stage, profile: LoadProfile) -> str:
    """The stage in words."""
    unit = "connections" if profile.rate_rps is None else "requests/s"
    level = f"{stage.start:g}"
    if stage.end != stage.start:
        level += f" to {stage.end:g}"
    return f"{stage.seconds:g} s of {level} {unit}"


def _settling(stage: Stage) -> float:
    return max(SETTLING_SECONDS, SETTLING_SHARE * stage.seconds)
