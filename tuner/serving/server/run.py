"""How a model is run, whatever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from .status import Code, StatusError


class Versioned(Protocol):
    """One version of one model, loaded."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...


ModelT = TypeVar("ModelT", bound=Versioned)

Tensors = Mapping[str, npt.NDArray[Any]]
Run = Callable[[ModelT, str, Tensors], Tensors]
"""Outputs of a signature by name, for inputs by name. Waits; many threads may call it at once."""

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def until(deadline: float | None) -> Iterator[None]:
    """What this thread runs in the block has a deadline, by `time.monotonic`; None is none."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def current_deadline() -> float | None:
    return _deadline.get()


def seconds_left() -> float | None:
    """Until the deadline; raises StatusError (DEADLINE_EXCEEDED) where it is over."""
    deadline = _deadline.get()
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise StatusError(Code.DEADLINE_EXCEEDED, "the deadline was over before the model was run")
    return left
