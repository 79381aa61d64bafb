"""Problems of a YAML file, and the words in which they are reported."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tuner.errors import InputError

KeyPath = tuple[str | int, ...]


class UnexpectedError(InputError, ValueError):
    """A value is not of the expected kind.

    It is a ValueError too, because Pydantic's validators must raise one.
    """

    def __init__(self, expected: str, value: object, hint: str = "") -> None:
        super().__init__(f"expected {expected}, found {short_text(value)}{hint}")


@dataclass(frozen=True)
class Problem:
    """One problem at one key. `line` (from 1) is set where it is not the line of the key."""

    key: KeyPath
    text: str
    line: int | None = None

    def below(self, key: KeyPath) -> Problem:
        """The same problem in the document that holds this part at `key`."""
        return replace(self, key=(*key, *self.key))


def short_text(value: object) -> str:
    """A value in a message, at most 80 characters: `'fast'`, `2`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool):
        return json.dumps(value)
    text = repr(value) if isinstance(value, str) else str(value).removesuffix(".0")
    return text if len(text) <= 80 else f"{text[:76]} ..."


def listed_values(values: Sequence[object]) -> str:
    """Values in a row. Of more than seven, the first five and the last."""
    words = [short_text(value) if isinstance(value, bool) else _word(value) for value in values]
    return ", ".join([*words[:5], "...", words[-1]] if len(words) > 7 else words)


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def nearest(word: object, names: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the name nearest to `word`; empty where none is near."""
    close = difflib.get_close_matches(str(word).lower(), list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def dotted(key: KeyPath) -> str:
    """A key path as people write it: `parameters.cpu.choices[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")
