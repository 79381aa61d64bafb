"""An interrupt (Ctrl-C, or a polite kill) that waits while something must not be broken off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class _State:
    shielded: bool = False
    asked: bool = False


_state = _State()


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """The handler of SIGINT and SIGTERM: raises KeyboardInterrupt, at once unless shielded."""
    _state.asked = True
    if not _state.shielded:
        raise KeyboardInterrupt


@contextmanager
def shielded() -> Iterator[None]:
    """Hold an interrupt back until the block ends or enters `interruptible`.

    A database's driver holds locks, and Python ignores what a handler raises within a callback of
    the garbage collector: an exception from nowhere is lost there or leaves a lock behind.
    """
    with _switched(shielded=True):
        yield
    _raise_if_asked()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within `shielded`: a part that waits long, and cleans up after itself when broken off."""
    with _switched(shielded=False):
        _raise_if_asked()
        yield


@contextmanager
def _switched(*, shielded: bool) -> Iterator[None]:
    before, _state.shielded = _state.shielded, shielded
    try:
        yield
    finally:
        _state.shielded = before


def _raise_if_asked() -> None:
    if _state.asked:
        raise KeyboardInterrupt
