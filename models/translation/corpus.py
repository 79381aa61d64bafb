"""Pairs of sentences to learn from and to be judged by: the grammar's, or those of a TSV file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tuner.errors import InputError

from .english import english
from .german import german
from .grammar import sentence
from .syntax import combinations
from .vocabulary import MAX_WORDS, words

HELD_OUT = 1000
"""At most so many pairs are held out: enough for a percentage with one decimal."""

MIN_PAIRS = 50

Pair = tuple[str, str]
"""A sentence and its translation."""


@dataclass(frozen=True)
class Corpus:
    name: str
    held_out_rule: str
    """What makes the held-out pairs new."""

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]


def grammar_corpus(sentences: int, seed: int) -> Corpus:
    """`sentences` different pairs to train with, and up to 1,000 that need composition.

    One in twelve pairs of words (an adjective with its noun, a verb with its object) is kept from
    training. Each held-out sentence has such a pair; its words were all seen, but apart.
    """
    rng = Random(seed)  # noqa: S311 -- sentences, not secrets
    train: dict[str, str] = {}
    held_out: dict[str, str] = {}
    while len(train) < sentences:
        drawn = sentence(rng)
        new = any(_is_kept(pair, seed) for pair in combinations(drawn))
        (held_out if new else train).setdefault(english(drawn), german(drawn))
    known = [{word for text in texts for word in words(text)} for texts in (train, train.values())]
    composed = [
        pair
        for pair in held_out.items()
        if all(
            seen.issuperset(_uncapitalised(text, seen))
            for text, seen in zip(pair, known, strict=True)
        )
    ]
    return Corpus(
        "English to German sentences of the grammar beside the builder",
        "each has an adjective with a noun, or a verb with an object, never trained on together",
        tuple(train.items()),
        tuple(composed[:HELD_OUT]),
    )


def _is_kept(pair: tuple[str, str], seed: int) -> bool:
    return zlib.crc32(f"{seed} {' '.join(pair)}".encode()) % 12 == 0


def _uncapitalised(text: str, seen: set[str]) -> list[str]:
    first, *rest = words(text)
    return [first if first in seen else first.lower(), *rest]


def read_pairs(path: Path, seed: int) -> Corpus:
    """The pairs of a UTF-8 file: a sentence, a tab, its translation; further columns are ignored.

    One in ten, at most 1,000, is held out at random. Of several translations the first is taken,
    and sentences of more than 60 words are left out. Raises InputError, naming the line.
    """
    mend = "--data takes lines of a sentence, a tab and its translation, in UTF-8"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", mend) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}", mend) from error
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        columns = [" ".join(column.split()) for column in line.split("\t")]
        if len(columns) < 2:
            raise InputError(f"{path}, line {number}: no tab", mend)
        if not (columns[0] and columns[1]):
            raise InputError(f"{path}, line {number}: an empty sentence", mend)
        if max(len(words(column)) for column in columns[:2]) <= MAX_WORDS:
            pairs.setdefault(columns[0], columns[1])
    if len(pairs) < MIN_PAIRS:
        raise InputError(
            f"{path}: {len(pairs)} different sentences of up to {MAX_WORDS} words, "
            f"which is fewer than {MIN_PAIRS}",
            mend,
        )
    shuffled = list(pairs.items())
    Random(seed).shuffle(shuffled)  # noqa: S311 -- likewise
    count = min(HELD_OUT, len(shuffled) // 10)
    return Corpus(
        f"the pairs of {path.name}",
        "chosen at random",
        tuple(shuffled[count:]),
        tuple(shuffled[:count]),
    )
