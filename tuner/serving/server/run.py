"""How a model is run, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy.typing as npt


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
