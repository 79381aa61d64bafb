"""What is wrong in a YAML file, said so that it can be mended at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tuner.errors import InputError

KeyPath = tuple[str | int, ...]


class UnexpectedError(InputError, ValueError):
    """A value is not what its place asks for.

    It is a ValueError too, because that is what a Pydantic validator may raise.
    """

    def __init__(self, expected: str, found: object, hint: str = "") -> None:
        super().__init__(f"expected {expected}, found {short_text(found)}{hint}")


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one key; `line` (from 1) only where it differs from the key's own."""

    key: KeyPath
    text: str
    line: int | None = None

    def below(self, key: KeyPath) -> Problem:
        """The same problem, seen from the document in which `key` holds this part."""
        return replace(self, key=(*key, *self.key))


def short_text(value: object) -> str:
    """A value as a person would name it, in one short piece of text."""
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
    """Values in a row, those in the middle of a long one left out."""
    words = [short_text(value) if isinstance(value, bool) else _word(value) for value in values]
    return ", ".join([*words[:5], "...", words[-1]] if len(words) > 7 else words)


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def nearest(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    found = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def dotted(key: KeyPath) -> str:
    """A key path as people write it: `parameters.cpu.choices[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")
