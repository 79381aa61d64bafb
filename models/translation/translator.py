"""The model as it is served: text in, text out, one SavedModel without custom operations.

Words are split, looked up, translated and joined inside the graph, by TensorFlow's own operations,
so that its C++ loader runs all of it.
"""

# ruff: noqa: ANN401 -- tensors have no type that mypy knows

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from . import decoding
from .signatures import BEAM, GREEDY, INPUT, SCORES, TRANSLATION, TRANSLATIONS
from .transformer import Transformer
from .vocabulary import (
    END,
    MAX_WORDS,
    PAD,
    PUNCTUATION,
    UNKNOWN,
    Ids,
    TargetLanguage,
    known_words,
    with_blank,
)


def split(texts: Any) -> Any:
    """The words of each text, ragged (b, words), in small letters."""
    lower = tf.strings.lower(texts, encoding="utf-8")
    spaced = tf.strings.regex_replace(lower, rf"{PUNCTUATION}(\s|$)", r" \1 ")
    return tf.strings.split(spaced)


class SourceLanguage:
    """Texts to numbers of words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.size = len(words)
        numbered = [(word, number) for number, word in enumerate(words) if word]
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                [word for word, _ in numbered],
                [number for _, number in numbered],
                tf.string,
                tf.int32,
            ),
            UNKNOWN,
        )

    @classmethod
    def of(cls, texts: Sequence[str]) -> SourceLanguage:
        """With the words of the texts to train with."""
        found = split(tf.constant(texts))
        return cls(known_words([[w.decode() for w in row] for row in found.to_list()]))

    def ids(self, texts: Any) -> Any:
        """Numbers (b, longest) of texts (b,), each with an END, filled up with PAD.

        Inside a graph, a text of more than 60 words makes the call fail.
        """
        numbers = tf.ragged.map_flat_values(self.table.lookup, split(texts))
        longest = tf.reduce_max(tf.concat([[tf.constant(0, tf.int64)], numbers.row_lengths()], 0))
        complaint = f"a text has more than {MAX_WORDS} words and punctuation marks; words:"
        with tf.control_dependencies(
            [tf.debugging.Assert(longest <= MAX_WORDS, [complaint, longest])]
        ):
            ends = tf.fill([tf.size(texts), 1], END)
        return tf.concat([numbers, ends], axis=1).to_tensor(PAD)

    def rows(self, texts: Sequence[str]) -> list[Ids]:
        """The same for use in Python: one array for each text, without PAD."""
        return [row[row != PAD] for row in self.ids(tf.constant(texts)).numpy()]


class Translator:
    """A Transformer with the languages that it translates between."""

    def __init__(self, model: Transformer, source: SourceLanguage, target: TargetLanguage) -> None:
        self.model, self.source, self.target = model, source, target

    def translate(self, text: Any) -> dict[str, Any]:
        """The likeliest words one after the other: (b,) to (b,)."""
        return {TRANSLATION: self.written(decoding.greedy(self.model, self.source.ids(text)))}

    def search(self, text: Any) -> dict[str, Any]:
        """The best translations of a beam search, best first, and their scores: (b,) to (b, 4)."""
        words, scores = decoding.beam(self.model, self.source.ids(text))
        return {TRANSLATIONS: self.written(words), SCORES: scores}

    def written(self, numbers: Any) -> Any:
        """Numbers of words, their last axis, as text."""
        pieces = np.array([with_blank(word) for word in self.target.words], np.object_)
        text = tf.strings.strip(tf.strings.reduce_join(tf.gather(pieces, numbers), axis=-1))
        if not self.target.capital:
            return text
        first = tf.strings.regex_replace(text, r"^(.).*$", r"\1")
        rest = tf.strings.regex_replace(text, r"^.", "")
        return tf.strings.upper(first, encoding="utf-8") + rest

    def export(self, directory: Path) -> None:
        """Write the SavedModel by Keras' own exporter, whose variables the C++ loader can find."""
        archive = keras.export.ExportArchive()
        # The weights are tracked as the endpoints use them; once more would write them twice.
        archive.track(self.source.table)
        texts = [keras.InputSpec(shape=(None,), dtype="string", name=INPUT)]
        archive.add_endpoint(GREEDY, self.translate, texts)
        archive.add_endpoint(BEAM, self.search, texts)
        archive.write_out(directory, verbose=False)
