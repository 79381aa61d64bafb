"""Translations found word by word, inside the graph: greedily, or by a beam search.

Both keep the keys and values of the words so far, so that a word costs one step of the decoder.
"""

# ruff: noqa: ANN401 -- tensors have no type that mypy knows

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .transformer import Transformer
from .vocabulary import END, MAX_WORDS, PAD, START, UNKNOWN, Ids

BEAMS = 4
LENGTH_PENALTY = 0.6
"""Exponent alpha of Wu et al. 2016 (arXiv:1609.08144), equation 14: 0 favours short answers."""

IMPOSSIBLE = -1e9


def greedy(model: Transformer, source: Any) -> Any:
    """Numbers of the likeliest next words, (b, up to 60), for sources (b, s); PAD after the END.

    A source of END alone, an empty sentence, has an empty translation.
    """
    memory, visible = model.encode(source)
    sentences = tf.shape(source)[0]
    allowed = allowed_words(model)

    def unfinished(_count: Any, _words: Any, done: Any, _past: Any) -> Any:
        return tf.logical_not(tf.reduce_all(done))

    def add_word(count: Any, words: Any, done: Any, past: Any) -> tuple[Any, ...]:
        scores, past = model.step(words[:, -1], count, past, memory, visible)
        word = tf.argmax(scores + allowed, axis=-1, output_type=tf.int32)
        word = tf.where(done, PAD, word)
        words = tf.concat([words, word[:, tf.newaxis]], axis=1)
        return count + 1, words, done | (word == END), past

    past = model.no_past(sentences)
    start = (0, tf.fill([sentences, 1], START), _is_empty(source), past)
    shapes = _shapes([None, None], [None], past)
    _, words, _, _ = tf.while_loop(
        unfinished, add_word, start, shapes, maximum_iterations=MAX_WORDS
    )
    return words[:, 1:]


def beam(model: Transformer, source: Any) -> tuple[Any, Any]:
    """The 4 best translations found, (b, 4, up to 60), and their scores, (b, 4), best first.

    At each word the 4 likeliest beginnings are kept. A score is the logarithm of a translation's
    probability, divided by the length penalty.
    """
    memory, visible = model.encode(source)
    memory, visible = tf.repeat(memory, BEAMS, axis=2), tf.repeat(visible, BEAMS, axis=0)
    sentences = tf.shape(source)[0]
    allowed = allowed_words(model)
    only_pad = tf.constant(np.where(np.arange(len(allowed)) == PAD, 0, IMPOSSIBLE), tf.float32)

    def unfinished(_count: Any, _words: Any, done: Any, _past: Any, _totals: Any) -> Any:
        return tf.logical_not(tf.reduce_all(done))

    def add_word(count: Any, words: Any, done: Any, past: Any, totals: Any) -> tuple[Any, ...]:
        last = tf.reshape(words[:, :, -1], [-1])
        scores, past = model.step(last, count, past, memory, visible)
        scores = tf.nn.log_softmax(scores + allowed)
        scores = tf.reshape(scores, [sentences, BEAMS, len(allowed)])
        scores = tf.where(done[:, :, tf.newaxis], only_pad, scores)
        choices = tf.reshape(totals[:, :, tf.newaxis] + scores, [sentences, BEAMS * len(allowed)])
        totals, chosen = tf.math.top_k(choices, BEAMS)
        beginning, word = chosen // len(allowed), chosen % len(allowed)
        words = tf.gather(words, beginning, batch_dims=1)
        words = tf.concat([words, word[:, :, tf.newaxis]], axis=2)
        done = tf.gather(done, beginning, batch_dims=1) | (word == END)
        rows = tf.range(sentences)[:, tf.newaxis] * BEAMS + beginning
        past = tf.gather(past, tf.reshape(rows, [-1]), axis=2)
        return count + 1, words, done, past, totals

    past = model.no_past(sentences * BEAMS)
    # All beams begin alike, so the first step takes its choices from one of them.
    totals = tf.tile([[0.0] + [IMPOSSIBLE] * (BEAMS - 1)], [sentences, 1])
    start = (
        0,
        tf.fill([sentences, BEAMS, 1], START),
        tf.repeat(_is_empty(source)[:, tf.newaxis], BEAMS, axis=1),
        past,
        totals,
    )
    shapes = (*_shapes([None, BEAMS, None], [None, BEAMS], past), tf.TensorShape([None, BEAMS]))
    _, words, _, _, totals = tf.while_loop(
        unfinished, add_word, start, shapes, maximum_iterations=MAX_WORDS
    )
    words = words[:, :, 1:]
    lengths = tf.math.count_nonzero(words, axis=2, dtype=tf.float32)
    scores = totals / ((5.0 + lengths) / 6.0) ** LENGTH_PENALTY
    order = tf.argsort(scores, direction="DESCENDING", stable=True)
    return tf.gather(words, order, batch_dims=1), tf.gather(scores, order, batch_dims=1)


def next_words(model: Transformer, source: Ids, target: Ids) -> Ids:
    """The likeliest word after each of `target` (b, t), all computed at once: without a cache."""
    scores = model(source, target) + allowed_words(model)
    result: Ids = tf.argmax(scores, axis=-1, output_type=tf.int32).numpy()
    return result


def allowed_words(model: Transformer) -> npt.NDArray[np.float32]:
    """What is added to scores so that no word is chosen that cannot be written."""
    never = np.isin(np.arange(model.target_words.input_dim), (PAD, START, UNKNOWN))
    return np.where(never, IMPOSSIBLE, 0).astype(np.float32)


def _is_empty(source: Any) -> Any:
    return tf.reduce_all((source == END) | (source == PAD), axis=1)


def _shapes(words: list[int | None], done: list[int | None], past: Any) -> tuple[Any, ...]:
    """What stays the same of count, words, done and past while they grow."""
    growing = past.shape.as_list()
    growing[2] = growing[-2] = None  # sentences, words
    return (
        tf.TensorShape([]),
        tf.TensorShape(words),
        tf.TensorShape(done),
        tf.TensorShape(growing),
    )
