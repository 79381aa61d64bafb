"""Two studies side by side as plain data: `tune compare A B --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from tuner.results.ratios import LEVEL, POWER, Ratio
from tuner.results.two_fronts import FrontScope, Side
from tuner.results.two_studies import Pair, TwoStudies
from tuner.results.two_studies_words import sentences

# History of the format: 1 (first).
FORMAT = 1


def document(found: TwoStudies) -> dict[str, Any]:
    """Everything, as JSON-able data; ratios are B's values as multiples of A's."""
    return {
        "format": FORMAT,
        "level": LEVEL,
        "power": POWER,
        **_plain(found),
        "sentences": list(sentences(found)),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 -- any part of it
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if not is_dataclass(value):
        return value
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)} | _derived(value)


def _derived(value: object) -> dict[str, Any]:
    match value:
        case Ratio() | Pair():
            return {"differs": value.differs}
        case FrontScope():
            return {"ahead": value.ahead}
        case Side():
            return {"beaten": value.beaten}
    return {}
