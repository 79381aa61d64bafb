"""Whose turn it is, between the processes of one test run: one that is alone, or all others."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Turns:
    """Locks on two files that are there anyway; the kernel releases them where a process ends.

    The second is held while waiting for the first, so that those who want to be alone are not
    overtaken for ever.
    """

    def __init__(self, turn: Path, queue: Path) -> None:
        self._turn, self._queue = (os.open(path, os.O_RDONLY) for path in (turn, queue))
        self._held = fcntl.LOCK_UN

    def take(self, *, alone: bool) -> None:
        """Wait until it is one's turn; who has it already keeps it."""
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        if kind != self._held:
            self.give_back()
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            fcntl.flock(self._turn, kind)
            fcntl.flock(self._queue, fcntl.LOCK_UN)
            self._held = kind

    def give_back(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        self._held = fcntl.LOCK_UN
