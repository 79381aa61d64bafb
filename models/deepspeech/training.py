"""Training of the acoustic model: CTC loss, Adam, batches of similar length."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .batches import Example, batch, batches
from .front_end import Geometry, Tensor, in_context, mfccs
from .network import Weights, for_raw_inputs, initial_weights, logits

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

BATCH = 32
PEAK_RATE = 3e-3
WARM_UP = 0.1  # of all steps
DROPOUT = 0.1
NOISE = 0.2  # on a coefficient, of its standard deviation
CLIP_NORM = 5.0


def examples(
    audio: Sequence[Floats], labels: Sequence[Integers], geometry: Geometry
) -> list[Example]:
    """The front end's view of each of `audio`, samples (n,) from -1 to 1."""

    def coefficients(samples: Floats) -> Floats:
        result, _ = mfccs(tf.constant(samples[np.newaxis]), tf.constant([len(samples)]), geometry)
        found: Floats = result.numpy()[0]
        return found

    return [Example(coefficients(a), b) for a, b in zip(audio, labels, strict=True)]


def train(
    data: Sequence[Example], geometry: Geometry, n_hidden: int, classes: int, seed: int, epochs: int
) -> Weights:
    """Weights after going through `data` `epochs` times."""
    rng = np.random.default_rng(seed)
    frames = np.concatenate([example.coefficients for example in data])
    # Per input, of which the context repeats the features.
    spread = frames.std(axis=0)
    mean = np.tile(frames.mean(axis=0), 2 * geometry.context + 1)
    deviation = np.tile(spread, 2 * geometry.context + 1)
    start = initial_weights(geometry, n_hidden, classes, rng)
    weights = {name: tf.Variable(value, name=name) for name, value in start.items()}
    variables = list(weights.values())
    steps = epochs * -(-len(data) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=PEAK_RATE, warmup_steps=round(WARM_UP * steps)
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    optimizer.build(variables)

    def descend(coefficients: Tensor, lengths: Tensor, where: Tensor, labels: Tensor) -> Tensor:
        noise = tf.random.normal(tf.shape(coefficients), stddev=NOISE) * spread
        with tf.GradientTape() as tape:
            inputs = (in_context(coefficients + noise, geometry) - mean) / deviation
            losses = tf.raw_ops.CTCLoss(
                inputs=logits(weights, inputs, DROPOUT),
                labels_indices=where,
                labels_values=labels,
                sequence_length=lengths,
            ).loss
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    learn = tf.function(
        descend,
        input_signature=[
            tf.TensorSpec([None, None, geometry.features], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, 2], tf.int64),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    lengths = [len(example.coefficients) for example in data]
    for epoch in range(1, epochs + 1):
        # The shortest first, as long as nothing is known ("SortaGrad", arXiv:1512.02595).
        chosen = batches(lengths, BATCH, rng if epoch > 1 else None)
        losses = [float(learn(*batch([data[i] for i in indices]))) for indices in chosen]
        print(f"  epoch {epoch}/{epochs}: loss {np.mean(losses):.3f}", flush=True)
    trained = {name: variable.numpy() for name, variable in weights.items()}
    return for_raw_inputs(trained, mean, deviation)
