"""DeepSpeech's acoustic model: clipped dense layers around one LSTM.

Source: `create_model` in the training code of Mozilla DeepSpeech, after Hannun et al., "Deep
Speech: Scaling up end-to-end speech recognition" (arXiv:1412.5567).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .front_end import Geometry, Tensor

Weights = dict[str, npt.NDArray[np.float32]]

RELU_CLIP = 20.0
DENSE_BEFORE, DENSE_AFTER, OUTPUT = ("layer_1", "layer_2", "layer_3"), "layer_5", "layer_6"


def initial_weights(
    geometry: Geometry, n_hidden: int, classes: int, rng: np.random.Generator
) -> Weights:
    """Weights to start from: Glorot's uniform distribution, biases zero but a forget gate's one."""

    def glorot(inputs: int, outputs: int) -> npt.NDArray[np.float32]:
        limit = np.sqrt(6 / (inputs + outputs))
        values = rng.random((inputs, outputs), np.float32)
        return (2 * values - 1) * np.float32(limit)

    sizes = {
        "layer_1": (geometry.inputs, n_hidden),
        "layer_2": (n_hidden, n_hidden),
        "layer_3": (n_hidden, n_hidden),
        "lstm": (2 * n_hidden, 4 * n_hidden),
        "layer_5": (n_hidden, n_hidden),
        "layer_6": (n_hidden, classes),
    }
    weights: Weights = {}
    for layer, (inputs, outputs) in sizes.items():
        weights[f"{layer}/weights"] = glorot(inputs, outputs)
        weights[f"{layer}/bias"] = np.zeros(outputs, np.float32)
    # Of the gates in BlockLSTM's order (input, cell, forget, output).
    weights["lstm/bias"][2 * n_hidden : 3 * n_hidden] = 1
    return weights


def logits(weights: Mapping[str, Any], inputs: Tensor, dropout: float = 0.0) -> Tensor:
    """Scores of the characters and the blank, the last one, over time: (t, b, classes).

    `inputs` are frames in context (b, t, inputs); `weights` are those of `initial_weights`, as
    arrays, tensors or variables. What comes later changes no score, so padding does no harm.
    """
    batch, steps = tf.shape(inputs)[0], tf.shape(inputs)[1]

    def dense(values: Tensor, layer: str) -> Tensor:
        return tf.matmul(values, weights[f"{layer}/weights"]) + weights[f"{layer}/bias"]

    def hidden(values: Tensor, layer: str) -> Tensor:
        clipped = tf.clip_by_value(dense(values, layer), 0.0, RELU_CLIP)
        return tf.nn.dropout(clipped, dropout) if dropout else clipped

    values = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [batch * steps, inputs.shape[2]])
    for layer in DENSE_BEFORE:
        values = hidden(values, layer)
    n_hidden = values.shape[1]
    values = tf.reshape(values, [steps, batch, n_hidden])
    values = lstm(values, weights["lstm/weights"], weights["lstm/bias"])
    values = hidden(tf.reshape(values, [steps * batch, n_hidden]), DENSE_AFTER)
    scores = dense(values, OUTPUT)
    return tf.reshape(scores, [steps, batch, scores.shape[1]])


def lstm(values: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """The cell's outputs over (t, b, n), from a state of zeros; the operation of the releases."""
    batch, n_hidden = tf.shape(values)[1], values.shape[2]
    state, no_peephole = tf.zeros([batch, n_hidden]), tf.zeros([n_hidden])
    return tf.raw_ops.BlockLSTM(
        seq_len_max=tf.shape(values, tf.int64)[0],
        x=values,
        cs_prev=state,
        h_prev=state,
        w=kernel,
        wci=no_peephole,
        wcf=no_peephole,
        wco=no_peephole,
        b=bias,
        forget_bias=0.0,
        cell_clip=-1.0,
        use_peephole=False,
    ).h


def for_raw_inputs(
    weights: Weights, mean: npt.NDArray[np.float32], deviation: npt.NDArray[np.float32]
) -> Weights:
    """`weights` of a network that takes (inputs - mean) / deviation, for one that takes inputs.

    Both are per input, (inputs,); the first layer takes them up.
    """
    first = weights["layer_1/weights"] / deviation[:, np.newaxis]
    bias = weights["layer_1/bias"] - mean @ first
    return {**weights, "layer_1/weights": first, "layer_1/bias": bias}
