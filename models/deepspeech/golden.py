"""Held-out figures and golden requests: pure functions of what was said and what was heard."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence

GOLDEN_REQUESTS = 32


def word_errors(said: str, heard: str) -> int:
    """Words to replace, insert or delete to get `said` from `heard` (Levenshtein's distance)."""
    target = said.split()
    row = list(range(len(target) + 1))
    for position, word in enumerate(heard.split(), start=1):
        previous, row = row, [position]
        for index, wanted in enumerate(target, start=1):
            row.append(
                min(
                    previous[index] + 1,
                    row[index - 1] + 1,
                    previous[index - 1] + (word != wanted),
                )
            )
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Word errors of all (said, heard) pairs per word said; may be above 1."""
    wrong = total = 0
    for said, heard in pairs:
        wrong += word_errors(said, heard)
        total += len(said.split())
    return wrong / total


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Indices of at most `count` items whose lengths go evenly from the shortest to the longest."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    if len(order) <= count:
        return order
    last = len(order) - 1
    return [order[round(place * last / (count - 1))] for place in range(count)]


def golden_lines(wavs: Sequence[bytes], transcripts: Sequence[str]) -> str:
    """JSON lines, one instance to a request: base64 of a WAV file, answered by its transcript."""
    return "".join(
        json.dumps(
            {
                "request": {"instances": [{"b64": base64.b64encode(wav).decode()}]},
                "response": {"predictions": [transcript]},
            },
            separators=(",", ":"),
        )
        + "\n"
        for wav, transcript in zip(wavs, transcripts, strict=True)
    )
