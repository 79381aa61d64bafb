"""Between sentences and numbers: words, how they are written, and which ones are known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]

PAD, START, END, UNKNOWN = SPECIAL = range(4)
"""Numbers that stand for no word: filling, start and end of a sentence, a word never seen."""

MAX_WORDS = 60
"""Longest sentence in words and punctuation marks, both to translate and to answer."""

MAX_KNOWN = 8000
"""Most words that a vocabulary holds; the rarest are left out."""

PUNCTUATION = r"([.,!?;:]+)"
"""Marks that are words of their own where a blank or the end follows, as in RE2 and here."""


def words(text: str) -> list[str]:
    return re.sub(rf"{PUNCTUATION}(\s|$)", r" \1 ", text).split()


def with_blank(word: str) -> str:
    """The word as it is written after another one: marks, and the special words, take no blank."""
    return word if not word or re.fullmatch(PUNCTUATION, word) else f" {word}"


def known_words(sentences: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """By number, the special ones being empty: words seen at least twice, the most common first.

    A word seen once teaches what to make of those never seen.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    common = sorted((-count, word) for word, count in counts.items() if count > 1)
    return ("",) * len(SPECIAL) + tuple(word for _, word in common[:MAX_KNOWN])


@dataclass(frozen=True)
class TargetLanguage:
    """The words of the translations, by number, and the case of the first one.

    A sentence's first word is written as it would be inside a sentence, so that it is one word
    wherever it stands; `capital` says that the first letter is made a capital in the end.
    """

    words: tuple[str, ...]
    capital: bool
    always_upper: frozenset[str]
    """Words that have their capital inside a sentence, too."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> TargetLanguage:
        """Learned from the translations to train with."""
        capital = all(text[0].upper() == text[0] for text in texts)
        inside = Counter(word for text in texts for word in words(text)[1:])
        upper = frozenset(
            word for word, count in inside.items() if count > inside[_with_small_letter(word)]
        )
        unnumbered = cls((), capital, upper)
        return cls(known_words(map(unnumbered.split, texts)), capital, upper)

    def split(self, text: str) -> list[str]:
        """The words of a translation as the model is to write them."""
        found = words(text)
        if self.capital and found and found[0] not in self.always_upper:
            found[0] = _with_small_letter(found[0])
        return found

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """Numbers of each translation's words, between START and END."""
        numbers = {word: number for number, word in enumerate(self.words) if word}
        return [
            np.array(
                [START, *(numbers.get(word, UNKNOWN) for word in self.split(text)), END], np.int32
            )
            for text in texts
        ]


def _with_small_letter(word: str) -> str:
    return word[:1].lower() + word[1:]


def padded(sentences: Sequence[Ids]) -> Ids:
    """One array of shape (sentences, longest), filled up with PAD."""
    result = np.full((len(sentences), max(map(len, sentences), default=0)), PAD, np.int32)
    for row, sentence in zip(result, sentences, strict=True):
        row[: len(sentence)] = sentence
    return result
