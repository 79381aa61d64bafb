"""The network: a Transformer of encoder and decoder that can go on from what it has computed.

After Vaswani et al., "Attention Is All You Need" (2017, arXiv:1706.03762), with the normalisation
before each sublayer rather than after it (Xiong et al. 2020, arXiv:2002.04745), by root mean square
(Zhang and Sennrich 2019, arXiv:1910.07467), and with one matrix for the decoder's input and output
words (Press and Wolf 2017, arXiv:1608.05859).

Shapes: b sentences, s words of the source, t of the target, `width` numbers a word, h heads of
d = width / h numbers each.
"""

# ruff: noqa: ANN401 -- tensors and Keras' classes have no type that mypy knows

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from .vocabulary import MAX_WORDS, PAD


@dataclass(frozen=True)
class Size:
    width: int = 128
    heads: int = 4
    hidden: int = 256
    """Width of the feed-forward sublayers."""

    layers: int = 2
    """Of the encoder, and of the decoder."""


class Attention(layers.Layer):  # type: ignore[misc]
    """Multi-head attention to a memory, which is the keys and values of other states."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.query = _dense(size.width, size.width)
        self.keys_and_values = _dense(size.width, 2 * size.width)
        self.merge = _dense(size.width, size.width)
        self.built = True  # as every layer here, by its constructor

    def memory(self, states: Any) -> Any:
        """Keys and values, shape (2, b, h, s, d), of states (b, s, width)."""
        batch, length, width = ops.shape(states)
        split = (batch, length, 2, self.heads, width // self.heads)
        return ops.transpose(ops.reshape(self.keys_and_values(states), split), (2, 0, 3, 1, 4))

    def call(self, states: Any, memory: Any, visible: Any = None) -> Any:
        """What states (b, t, width) find in a memory, where `visible`, (b or 1, 1, t or 1, s)."""
        batch, length, width = ops.shape(states)
        depth = width // self.heads
        query = ops.reshape(self.query(states), (batch, length, self.heads, depth))
        query = ops.transpose(query, (0, 2, 1, 3)) * depth**-0.5
        scores = ops.matmul(query, ops.swapaxes(memory[0], -1, -2))
        if visible is not None:
            scores = ops.where(visible, scores, -1e9)
        found = ops.matmul(ops.softmax(scores), memory[1])
        return self.merge(ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (batch, length, width)))


class FeedForward(layers.Layer):  # type: ignore[misc]
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.widen = _dense(size.width, size.hidden, "relu")
        self.narrow = _dense(size.hidden, size.width)
        self.built = True

    def call(self, states: Any) -> Any:
        return self.narrow(self.widen(states))


class EncoderLayer(layers.Layer):  # type: ignore[misc]
    def __init__(self, size: Size, dropout: float) -> None:
        super().__init__()
        self.norms = [_norm(size.width) for _ in range(2)]
        self.attention = Attention(size)
        self.feed_forward = FeedForward(size)
        self.dropout = layers.Dropout(dropout)
        self.built = True

    def call(self, states: Any, visible: Any, training: bool = False) -> Any:
        normed = self.norms[0](states)
        found = self.attention(normed, self.attention.memory(normed), visible)
        states += self.dropout(found, training=training)
        return states + self.dropout(self.feed_forward(self.norms[1](states)), training=training)


class DecoderLayer(layers.Layer):  # type: ignore[misc]
    def __init__(self, size: Size, dropout: float) -> None:
        super().__init__()
        self.norms = [_norm(size.width) for _ in range(3)]
        self.attention = Attention(size)
        self.source_attention = Attention(size)
        self.feed_forward = FeedForward(size)
        self.dropout = layers.Dropout(dropout)
        self.built = True

    def call(
        self,
        states: Any,
        source: Any,
        source_visible: Any,
        past: Any = None,
        visible: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """The states after this layer, and its memory of all words up to now.

        `source` is the memory of the sentence to translate; `past` that of the words before
        `states`, (2, b, h, words, d).
        """
        normed = self.norms[0](states)
        memory = self.attention.memory(normed)
        if past is not None:
            memory = ops.concatenate([past, memory], axis=-2)
        states += self.dropout(self.attention(normed, memory, visible), training=training)
        found = self.source_attention(self.norms[1](states), source, source_visible)
        states += self.dropout(found, training=training)
        states += self.dropout(self.feed_forward(self.norms[2](states)), training=training)
        return states, memory


class Transformer(keras.Model):  # type: ignore[misc]
    """From numbers of words to scores of the next word.

    `call` does all words of known translations at once, `step` one word of unknown ones.
    """

    def __init__(self, sources: int, targets: int, size: Size, dropout: float = 0.0) -> None:
        super().__init__()
        self.size = size
        self.positions = positions(MAX_WORDS + 1, size.width)
        self.source_words = _embedding(sources, size.width)
        self.target_words = _embedding(targets, size.width)
        self.encoder = [EncoderLayer(size, dropout) for _ in range(size.layers)]
        self.decoder = [DecoderLayer(size, dropout) for _ in range(size.layers)]
        self.source_norm, self.target_norm = _norm(size.width), _norm(size.width)
        self.dropout = layers.Dropout(dropout)
        self.built = True

    def encode(self, source: Any, training: bool = False) -> tuple[Any, Any]:
        """Each decoder layer's memory of sources (b, s), and what of it is visible.

        Shapes (layers, 2, b, h, s, d) and (b, 1, 1, s).
        """
        visible = ops.not_equal(source, PAD)[:, None, None, :]
        states = self._placed(self.source_words(source), slice(ops.shape(source)[1]))
        states = self.dropout(states, training=training)
        for layer in self.encoder:
            states = layer(states, visible, training=training)
        states = self.source_norm(states)
        memories = [layer.source_attention.memory(states) for layer in self.decoder]
        return ops.stack(memories), visible

    def call(self, source: Any, target: Any, training: bool = False) -> Any:
        """Scores (b, t, words) of the word after each of `target` (b, t)."""
        memory, source_visible = self.encode(source, training=training)
        length = ops.shape(target)[1]
        visible = ops.tril(ops.ones((length, length), "bool"))[None, None]
        states = self._placed(self.target_words(target), slice(length))
        states = self.dropout(states, training=training)
        for layer, source_memory in zip(self.decoder, ops.unstack(memory), strict=True):
            states, _ = layer(
                states, source_memory, source_visible, visible=visible, training=training
            )
        return self._scores(states)

    def no_past(self, sentences: Any) -> Any:
        """The memory of no word yet, to begin with: (layers, 2, sentences, h, 0, d)."""
        size = self.size
        return ops.zeros((size.layers, 2, sentences, size.heads, 0, size.width // size.heads))

    def step(
        self, words: Any, position: Any, past: Any, memory: Any, visible: Any
    ) -> tuple[Any, Any]:
        """Scores (b, words) of the word after `words` (b,), and the past with these added.

        `memory` and `visible` are those of `encode`. Equals `call` on the words up to now.
        """
        states = self._placed(self.target_words(words[:, None]), position)
        added = []
        for number, layer in enumerate(self.decoder):
            states, now = layer(states, memory[number], visible, past=past[number])
            added.append(now)
        return self._scores(states)[:, 0], ops.stack(added)

    def _placed(self, embedded: Any, where: Any) -> Any:
        table = ops.convert_to_tensor(self.positions)
        return embedded * self.size.width**0.5 + table[where]

    def _scores(self, states: Any) -> Any:
        return ops.tensordot(self.target_norm(states), self.target_words.embeddings, ((-1,), (-1,)))


def positions(count: int, width: int) -> npt.NDArray[np.float32]:
    """Sines and cosines (count, width) that tell positions apart; Vaswani et al., section 3.5."""
    rates = 10_000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(count)[:, np.newaxis] * rates
    table: npt.NDArray[np.float64] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return table.astype(np.float32)


def _dense(inputs: int, outputs: int, activation: str | None = None) -> layers.Dense:
    layer = layers.Dense(outputs, activation)
    layer.build((None, inputs))
    return layer


def _norm(width: int) -> layers.RMSNormalization:
    layer = layers.RMSNormalization()
    layer.build((None, width))
    return layer


def _embedding(words: int, width: int) -> layers.Embedding:
    layer = layers.Embedding(words, width, keras.initializers.RandomNormal(stddev=width**-0.5))
    layer.build((None,))
    return layer
