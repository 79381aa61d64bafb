"""Waiting for what deploys to answer again, so that a restart of the engine costs one trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tuner.errors import Unreachable

LOOK_AGAIN_SECONDS = 1.0

MOST_ABSENT_SECONDS = 120.0
"""So long a run waits before it has measured another trial. An update takes less."""

MOST_ABSENCES = 3
"""After so many with no trial between them the run ends: trials themselves may be the reason."""


class StayedAway(Unreachable):
    """The run ended, as what deploys did not come back. So many trials are left of its goal."""

    def __init__(self, lost: Unreachable, trials_left: int | None) -> None:
        count = "" if trials_left is None else f" with {trials_left} trials left"
        self._first = lost.mend
        self._goes_on = f"goes on{count}"
        super().__init__(lost.message, f"{lost.mend}, then run again: the study {self._goes_on}")

    def name_command(self, command: str) -> None:
        """Let the mend say by which command the run goes on."""
        self.mend = f"{self._first}, then `{command}` {self._goes_on}"


@dataclass(frozen=True)
class Absent:
    """What deploys does not answer (`what`); the run waits for it, for at most `seconds`.

    `trial` is the number of the trial that was under way, whose configuration is queued again.
    """

    what: str
    trial: int | None
    seconds: float


@dataclass(frozen=True)
class Returned:
    """It answers again after `seconds`, and the run goes on."""

    seconds: float


@dataclass
class Absence:
    """Waits until what deploys `answers`, for `left` seconds in all until a trial was measured.

    `trial` is the number of the trial under way, None where there is none.
    """

    answers: Callable[[], bool]
    left: float = field(default_factory=lambda: MOST_ABSENT_SECONDS)
    trial: int | None = field(default=None, init=False)
    _in_a_row: int = field(default=0, init=False)

    def measured(self) -> None:
        """A trial was measured: what deploys is not absent for good."""
        self.trial = None
        self.left = MOST_ABSENT_SECONDS
        self._in_a_row = 0

    def wait(self, lost: Unreachable, observe: Callable[[Absent | Returned], None]) -> None:
        """Return once it answers. Raises `lost`, with what was done, where it stays away."""
        self._in_a_row += 1
        if self._in_a_row > MOST_ABSENCES:
            raise Unreachable(f"{self._in_a_row} times in a row {lost.message}", lost.mend)
        observe(Absent(lost.message, self.trial, self.left))
        self.trial = None
        began = time.monotonic()
        while not self.answers():
            waited = time.monotonic() - began
            if waited >= self.left:
                self.left = 0.0
                raise Unreachable(f"{lost.message}; waited {waited:.0f} s", lost.mend) from lost
            time.sleep(min(LOOK_AGAIN_SECONDS, self.left - waited))
        waited = time.monotonic() - began
        self.left = max(0.0, self.left - waited)
        observe(Returned(waited))
