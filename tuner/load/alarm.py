"""A timer that is exact to tens of microseconds, where uvloop's own is to a millisecond."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from time import perf_counter_ns

NEVER = 2**63 - 1

_TFD_CLOEXEC, _TFD_NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_TFD_TIMER_ABSTIME = 1
_CLOCK_MONOTONIC = 1


class KernelAlarm:
    """Calls back at a time of `perf_counter_ns`, by timerfd_create(2).

    The kernel compares with an absolute time, so no time is lost between reading the clock and
    setting the alarm. An alarm in the past rings at once.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.timerfd_create(
            _CLOCK_MONOTONIC, _TFD_CLOEXEC | _TFD_NONBLOCK
        )
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        # struct itimerspec: interval and value, each in seconds and nanoseconds.
        self._value = (ctypes.c_long * 4)()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, ring)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` instead of the time set before; for `NEVER` do not ring."""
        # Setting the timer also clears an expiry, so nothing needs to be read.
        self._value[2], self._value[3] = (0, 0) if at_ns == NEVER else divmod(at_ns, 1_000_000_000)
        self._libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, self._value, None)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


class LoopAlarm:
    """The same by the event loop's timer, exact to one or two milliseconds."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """As `KernelAlarm.set`."""
        self.close()
        if at_ns != NEVER:
            seconds = max(0, at_ns - perf_counter_ns()) / 1e9
            self._timer = self._loop.call_later(seconds, self._ring)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


Alarm = KernelAlarm if sys.platform == "linux" else LoopAlarm
