"""Where the load of a study comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from tuner.load.engine_process import StartEngine
from tuner.load.sender import engines_here


class SenderPlace(Protocol):
    """A context manager. Inside, `engines` may be asked for what starts a burst's load engines."""

    @property
    def least(self) -> int:
        """So many send where a study says `senders: auto`, and one of them would do."""
        ...

    @property
    def most(self) -> int:
        """No more send where it says `auto`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def engines(self, senders: int) -> Sequence[StartEngine]:
        """What starts each of so many engines. Raises Unreachable where a host is gone."""
        ...

    def answers(self) -> bool:
        """Whether it can be reached now; it need not be entered for that."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What the environment of a run says of it."""
        ...

    def in_words(self) -> str:
        """Who sends, and what was found out about them."""
        ...


class SendersHere(SenderPlace):
    """Engines on this machine."""

    least = 1
    most = max(1, (os.cpu_count() or 1) // 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Each burst has ended its engines."""

    def engines(self, senders: int) -> Sequence[StartEngine]:
        return engines_here(senders)

    def answers(self) -> bool:
        return True

    def facts(self) -> Mapping[str, Any]:
        return {}

    def in_words(self) -> str:
        return "this machine"
