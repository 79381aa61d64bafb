"""Slow pure functions that are computed once in a process: `functools.lru_cache` of a `Keyed`.

`Chains` are for what grows step by step and is large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


@dataclass(frozen=True)
class Keyed(Generic[T]):
    """A computation, equal to any other of the same `key`, which says all that its result depends
    on: arrays by their `digest`.
    """

    key: Hashable
    compute: Callable[[], T] = field(compare=False)


@dataclass(frozen=True)
class Step(Generic[T]):
    """One step of a chain: what makes its value from that of the step before (None for the first).

    The `key` says all that the step adds.
    """

    key: Hashable
    make: Callable[[T | None], T]


@dataclass(eq=False)
class _Chain(Generic[T]):
    steps: list[tuple[Hashable, T]]
    size: int
    used: int


class Chains(Generic[T]):
    """Values that are made step by step; the last chain of each slot is kept to go on from.

    A chain is kept for as long as its owner lives. In all, chains of `most` units of `size` are
    kept, those that were used last; the very last one always. What is kept changes no result.
    """

    def __init__(self, size: Callable[[T], int], most: int) -> None:
        self._size = size
        self._most = most
        self._kept: WeakKeyDictionary[object, dict[Hashable, _Chain[T]]] = WeakKeyDictionary()
        self._used = 0
        self._lock = Lock()

    def last(self, owner: object, slot: Hashable, steps: Sequence[Step[T]]) -> T:
        """What the last of the steps gives; there is one at least."""
        with self._lock:
            before = self._kept.get(owner, {}).get(slot)
        chain: list[tuple[Hashable, T]] = []
        for known, step in zip(before.steps if before else (), steps, strict=False):
            if known[0] != step.key:
                break
            chain.append(known)
        for step in steps[len(chain) :]:
            chain.append((step.key, step.make(chain[-1][1] if chain else None)))
        with self._lock:
            self._used += 1
            size = sum(self._size(value) for _, value in chain)
            self._kept.setdefault(owner, {})[slot] = _Chain(chain, size, self._used)
            self._forget()
        return chain[-1][1]

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        """How many chains are kept."""
        return sum(map(len, self._kept.values()))

    def _forget(self) -> None:
        kept = sorted(
            (
                (chain.used, chain.size, own, slot)
                for own in self._kept.values()
                for slot, chain in own.items()
            ),
            key=lambda each: each[0],
        )
        total = sum(size for _, size, *_ in kept)
        for _, size, own, slot in kept[:-1]:
            if total <= self._most:
                break
            del own[slot]
            total -= size


def digest(*arrays: npt.ArrayLike) -> bytes:
    """Of shapes and values."""
    hasher = hashlib.blake2b(digest_size=16)
    for array in arrays:
        values = np.ascontiguousarray(array, dtype=np.float64)
        hasher.update(repr(values.shape).encode() + values.tobytes())
    return hasher.digest()
