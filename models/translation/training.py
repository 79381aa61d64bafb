"""Training: batches of sentences of like length, Adam, and the rate of learning over time."""

# ruff: noqa: ANN401 -- tensors have no type that mypy knows

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .transformer import Transformer
from .vocabulary import PAD, Ids, padded

CHUNK = 32  # batches that are sorted by length together
PEAK_RATE = 2e-3
WARM_UP = 0.1  # share of the steps


def train(
    model: Transformer, source: Sequence[Ids], target: Sequence[Ids], epochs: int, seed: int
) -> None:
    """Train `model` on sentences and their translations, which are between START and END."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(sentence) for sentence in target])
    size = 128 if len(target) >= 10_000 else 32
    train_on = _training_step(model, epochs * -(-len(target) // size))
    for epoch in range(1, epochs + 1):
        losses = [
            train_on(padded([source[i] for i in batch]), padded([target[i] for i in batch]))
            for batch in batches(lengths, size, rng)
        ]
        mean = float(np.mean([loss.numpy() for loss in losses]))
        print(f"  epoch {epoch}/{epochs}: loss {mean:.4f}", flush=True)


def batches(
    lengths: npt.NDArray[np.int64], size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Each index once, in batches of up to `size` whose lengths differ little, else by chance."""
    order = rng.permutation(len(lengths))
    result = []
    for chunk in np.array_split(order, range(size * CHUNK, len(order), size * CHUNK)):
        by_length = chunk[np.argsort(lengths[chunk], kind="stable")]
        result += np.array_split(by_length, range(size, len(chunk), size))
    return [result[i] for i in rng.permutation(len(result))]


def _training_step(model: Transformer, steps: int) -> Any:
    """A function of a batch that adjusts the weights and gives the loss per word."""
    # Up to its peak, then down to nothing, so that the weights settle.
    warm_up = max(1, round(WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=PEAK_RATE, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.Adam(rate, beta_2=0.98, global_clipnorm=1.0)
    weights = model.trainable_variables
    optimizer.build(weights)
    numbers = tf.TensorSpec([None, None], tf.int32)

    def train_on(source: Any, target: Any) -> Any:
        given, following = target[:, :-1], target[:, 1:]
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                following, model(source, given, training=True)
            )
            counted = tf.cast(following != PAD, losses.dtype)
            loss = tf.reduce_sum(losses * counted) / tf.reduce_sum(counted)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return tf.function(train_on, input_signature=[numbers, numbers])
