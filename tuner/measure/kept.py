"""What was worked out of an object that never changes, kept with it for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def kept(owner: object, name: str, key: object, compute: Callable[[], T]) -> T:
    """What `compute` gives, made once for the last `key` that was asked under that name.

    The key says all that it depends on beside the `owner`, which is frozen. A study's records are
    looked at after each of its trials; what each says by itself stays the same.
    """
    memory: dict[str, tuple[object, Any]] = vars(owner).setdefault("_kept", {})
    found = memory.get(name)
    if found is None or found[0] != key:
        found = key, compute()
        memory[name] = found
    value: T = found[1]
    return value
