"""Results of slow pure functions, kept within the process by what they were computed from."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

_ALL: list[Kept[Any]] = []


class Kept(Generic[T]):
    """The last `size` results. A key must say all that its result depends on."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = RLock()
        _ALL.append(self)

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._known:
                self._known[key] = compute()
                while len(self._known) > self._size:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


def forget() -> None:
    """Drop all that is kept in the process; the same results are then computed again."""
    for kept in _ALL:
        kept.clear()


def digest(*arrays: npt.ArrayLike) -> bytes:
    """Of shapes and values."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        known = np.ascontiguousarray(array, dtype=np.float64)
        found.update(repr(known.shape).encode() + known.tobytes())
    return found.digest()
