"""Waiting for a storage that another process has, or that is away: bounded, and said."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SILENT_SECONDS = 3.0
"""So long nothing is said: most waits are over before."""

_FORGOTTEN_SECONDS = 10.0
"""Who gave up and asks again within this time is not given the whole wait once more."""

_log = logging.getLogger(__name__)


@dataclass
class Patience:
    """How long one thing is waited for: `seconds` in all, from the first of a row of failures.

    `what` is its name in messages.
    """

    what: str
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None, init=False)
    _last: float = field(default=0.0, init=False)
    _said: bool = field(default=False, init=False)

    def more(self, why: Callable[[], str]) -> bool:
        """Whether to try once more after a failure; `why` says in words what stands in the way.

        The first that is told after `SILENT_SECONDS` is logged, so that nobody wonders.
        """
        now = self.clock()
        if self._since is None or now - self._last > _FORGOTTEN_SECONDS:
            self._since, self._said = now, False
        self._last = now
        waited = now - self._since
        if waited >= self.seconds:
            return False
        if waited >= SILENT_SECONDS and not self._said:
            self._said = True
            _log.warning("tune: waiting for %s: %s; at most %.0f s", self.what, why(), self.seconds)
        return True

    def give_up(self) -> None:
        """Somebody will not wait any longer."""
        self._since = -math.inf

    def over(self) -> bool:
        """It answered; what fails from now on is another row. Whether it was waited for."""
        waited = self._since is not None
        if self._said:
            _log.warning("tune: %s is there again", self.what)
        self._since, self._said = None, False
        return waited


def holder(path: Path) -> str:
    """Who else has a lock on a file, in words; `another process` where the kernel does not tell."""
    pids = sorted(_lockers(path) - {os.getpid()})
    return " and ".join(map(_named, pids)) or "another process"


def _lockers(path: Path) -> set[int]:
    """The processes in proc_locks(5) with a lock on the file, and not those that wait for one."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return set()
    # 1: POSIX  ADVISORY  WRITE 4711 fe:01:1234 1073741825 1073741825
    fields = [line.split() for line in lines if "->" not in line]
    return {int(f[4]) for f in fields if f[5].rpartition(":")[2] == str(inode) and int(f[4]) > 0}


def _named(pid: int) -> str:
    try:
        return f"process {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return f"process {pid}"
