"""An interrupt (Ctrl-C, or a polite kill) that waits while something must not be broken off.

One interrupt raises one KeyboardInterrupt. Nothing of it is kept after that, so that a later run in
the same process (a notebook) begins anew.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""A polite kill is an interrupt: containers are removed and the trial is queued again."""


@dataclass
class _State:
    """`pending` is an interrupt that arrived inside the outermost of `shields` open blocks.

    It stays so even after it was raised, until that block ends: Python ignores what a handler
    raises within a callback of the garbage collector, and a lost exception is then raised again.
    """

    shields: int = 0
    shielded: bool = False
    pending: bool = False


_state = _State()


@contextmanager
def handled_interrupts() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise KeyboardInterrupt by the rules of this module.

    The handlers that were there before are put back at the end. Outside the main thread, where
    Python allows no handler, nothing is changed.
    """
    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.signal(number, _interrupt)
                # None is a handler that was not installed from Python and cannot be put back.
                handlers.callback(signal.signal, number, before or signal.SIG_DFL)
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Hold an interrupt back until the block ends or enters `interruptible`.

    A database's driver holds locks, which an exception from nowhere would leave behind. An
    interrupt that waits when the block ends is raised there, also instead of another exception.
    """
    interrupted = False
    _state.shields += 1
    try:
        with _switched(shielded=True):
            yield
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        _state.shields -= 1
        pending = _state.pending and not _state.shielded
        if not _state.shields:
            _state.pending = False
        if pending and not interrupted:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Within `shielded`: a part that waits long, and cleans up after itself when broken off."""
    with _switched(shielded=False):
        if _state.pending:
            raise KeyboardInterrupt
        yield


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """The handler: raises KeyboardInterrupt, at once unless shielded."""
    _state.pending = _state.shields > 0
    if not _state.shielded:
        raise KeyboardInterrupt


@contextmanager
def _switched(*, shielded: bool) -> Iterator[None]:
    before, _state.shielded = _state.shielded, shielded
    try:
        yield
    finally:
        _state.shielded = before
