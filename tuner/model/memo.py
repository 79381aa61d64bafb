"""Slow pure functions that are computed once in a process: `functools.lru_cache` of a `Keyed`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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


def digest(*arrays: npt.ArrayLike) -> bytes:
    """Of shapes and values."""
    hasher = hashlib.blake2b(digest_size=16)
    for array in arrays:
        values = np.ascontiguousarray(array, dtype=np.float64)
        hasher.update(repr(values.shape).encode() + values.tobytes())
    return hasher.digest()
