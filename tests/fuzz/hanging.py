"""A safety net below what may hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ALARM_SECONDS = 120
"""After so long it hangs: far above what any input takes."""


class HangError(BaseException):
    """It hangs. No Exception, so that nothing on its way takes it for a failure of its own."""


@contextmanager
def ended_if_it_hangs() -> Iterator[None]:
    """Inside, HangError is raised after `ALARM_SECONDS`."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(ALARM_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
