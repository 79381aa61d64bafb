"""An interrupt (Ctrl-C, a polite kill, a closed terminal) that waits while something must not be
broken off.

One interrupt raises one KeyboardInterrupt. Nothing of it is kept after that, so that a later run in
the same process (a notebook) begins anew.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A polite kill and a terminal that closes are interrupts: containers are removed and the trial is
queued again."""

NOTHING_LEFT = "nothing is left running"
"""What an interrupt says in the end: all that was started is removed."""

_CLEANING = b"tune: removing what was started, which may take some seconds; then it ends\n"

_T = TypeVar("_T")


@dataclass
class _State:
    """`pending` is an interrupt that arrived inside the outermost of `shields` open blocks.

    It stays so even after it was raised, until that block ends: Python ignores what a handler
    raises within a callback of the garbage collector, and a lost exception is then raised again.
    `earlier` is what was being handled when the handlers were set: not an interrupt of this run.
    """

    shields: int = 0
    shielded: bool = False
    pending: bool = False
    earlier: BaseException | None = None


_state = _State()


@contextmanager
def handled_interrupts() -> Iterator[None]:
    """Inside, each of `SIGNALS` raises KeyboardInterrupt by the rules of this module.

    A second one while the first is on its way, so that something cleans up after itself, raises
    nothing. Who started the process with SIGHUP ignored (nohup) wants it to go on without a
    terminal. The handlers that were there before are put back at the end. Outside the main thread,
    where Python allows no handler, nothing is changed.
    """
    with ExitStack() as handlers:
        if _in_main_thread():
            earlier, _state.earlier = _state.earlier, sys.exception()
            handlers.callback(setattr, _state, "earlier", earlier)
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                before = signal.signal(number, _interrupt)
                # None is a handler that was not installed from Python and cannot be put back.
                handlers.callback(signal.signal, number, before or signal.SIG_DFL)
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Hold an interrupt back until the block ends or enters `interruptible`.

    A database's driver holds locks, which an exception from nowhere would leave behind. An
    interrupt that waits when the block ends is raised there, also instead of another exception.
    Signals arrive in the main thread, so in any other nothing is changed.
    """
    if not _in_main_thread():
        yield
        return
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
    if not _in_main_thread():
        yield
        return
    with _switched(shielded=False):
        if _state.pending:
            raise KeyboardInterrupt
        yield


@contextmanager
def left_whole(world: AbstractContextManager[_T]) -> Iterator[_T]:
    """Within `shielded`: `world`, which an interrupt may break off where it begins, never where it
    ends.
    """
    with ExitStack() as stack:
        with interruptible():
            value = stack.enter_context(world)
        yield value


@contextmanager
def ended_whole(world: AbstractContextManager[_T]) -> Iterator[_T]:
    """`world` with handlers of its own: an interrupt breaks off its beginning and what is done in
    it, never its end.
    """
    with handled_interrupts(), shielded(), left_whole(world) as value, interruptible():
        yield value


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """The handler: raises KeyboardInterrupt, at once unless shielded."""
    _state.pending = _state.shields > 0
    if _is_cleaning():
        with suppress(OSError):  # the terminal may be gone
            os.write(2, _CLEANING)
    elif not _state.shielded:
        raise KeyboardInterrupt


def _is_cleaning() -> bool:
    """Whether the main thread is in a `finally`, an `except` or the end of a block, because an
    interrupt passes through it.
    """
    error = sys.exception()
    while error is not None and error is not _state.earlier:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _switched(*, shielded: bool) -> Iterator[None]:
    before, _state.shielded = _state.shielded, shielded
    try:
        yield
    finally:
        _state.shielded = before
