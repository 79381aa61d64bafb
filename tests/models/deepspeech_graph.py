"""A frozen graph with the nodes of a released DeepSpeech graph. Importing it takes TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1
Tensor = Any


def graph_of(weights: Mapping[str, Any], sizes: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A GraphDef.

    `sizes` are sample_rate, window, step, features, context, n_hidden, classes, steps, alphabet.
    """
    n = sizes["n_hidden"]
    with v1.Graph().as_default() as graph:
        audio = v1.placeholder(tf.float32, [sizes["window"]], "input_samples")
        spectrogram = tf.raw_ops.AudioSpectrogram(
            input=tf.expand_dims(audio, -1),
            window_size=sizes["window"],
            stride=sizes["step"],
            magnitude_squared=True,
        )
        mfccs = tf.raw_ops.Mfcc(
            spectrogram=spectrogram,
            sample_rate=sizes["sample_rate"],
            dct_coefficient_count=sizes["features"],
            upper_frequency_limit=sizes["sample_rate"] / 2,
        )
        tf.identity(tf.reshape(mfccs, [-1, sizes["features"]]), "mfccs")

        width = 2 * sizes["context"] + 1
        shape = [1, sizes["steps"], width, sizes["features"]]
        frames = v1.placeholder(tf.float32, shape, "input_node")
        lengths = v1.placeholder(tf.int32, [1], "input_lengths")
        state_c = v1.placeholder(tf.float32, [1, n], "previous_state_c")
        state_h = v1.placeholder(tf.float32, [1, n], "previous_state_h")

        values = tf.transpose(frames, [1, 0, 2, 3])
        values = tf.reshape(values, [-1, width * sizes["features"]])
        for layer in ("layer_1", "layer_2", "layer_3"):
            values = clipped(dense(values, layer, weights))
        values = tf.reshape(values, [-1, 1, n])
        cell = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"
        block = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.reduce_max(lengths), tf.int64),
            x=values,
            cs_prev=state_c,
            h_prev=state_h,
            w=frozen(f"{cell}/kernel", weights["lstm/kernel"]),
            wci=tf.zeros([n]),
            wcf=tf.zeros([n]),
            wco=tf.zeros([n]),
            b=frozen(f"{cell}/bias", weights["lstm/bias"]),
            forget_bias=0.0,
            cell_clip=-1.0,
            use_peephole=False,
        )
        values = clipped(dense(tf.reshape(block.h, [-1, n]), "layer_5", weights))
        scores = dense(values, "layer_6", weights)
        scores = tf.reshape(scores, [-1, 1, sizes["classes"]], name="raw_logits")
        tf.nn.softmax(scores, name="logits")
        for name, before, after in (("c", state_c, block.cs), ("h", state_h, block.h)):
            history = tf.concat([before[tf.newaxis], after], 0)
            where = tf.stack([lengths, tf.range(1)], axis=1)
            tf.identity(tf.gather_nd(history, where), f"new_state_{name}")

        milliseconds = 1000 / sizes["sample_rate"]
        for name, value in {
            "version": 6,
            "sample_rate": sizes["sample_rate"],
            "feature_win_len": round(sizes["window"] * milliseconds),
            "feature_win_step": round(sizes["step"] * milliseconds),
            "beam_width": 20,
            "alphabet": serialized(sizes["alphabet"]),
            "language": b"en-US",
        }.items():
            tf.constant([value], name=f"metadata_{name}")
    return graph.as_graph_def()


def dense(values: Tensor, layer: str, weights: Any) -> Tensor:  # noqa: ANN401
    kernel = frozen(f"{layer}/weights", weights[f"{layer}/weights"])
    return tf.nn.bias_add(
        tf.matmul(values, kernel), frozen(f"{layer}/bias", weights[f"{layer}/bias"])
    )


def clipped(values: Tensor) -> Tensor:
    return tf.minimum(tf.nn.relu(values), 20.0)


def frozen(name: str, value: Any) -> Tensor:  # noqa: ANN401
    """A variable as freezing leaves it: a constant, and what read it, still tied to it."""
    constant = tf.constant(value, name=name)
    read = tf.identity(constant, f"{name}/read")
    read.op._set_attr(  # noqa: SLF001 -- as written by TensorFlow 1
        "_class",
        v1.AttrValue(list=v1.AttrValue.ListValue(s=[f"loc:@{name}".encode()])),
    )
    return read


def serialized(alphabet: str) -> bytes:
    pairs = [character.encode() for character in alphabet]
    parts = [struct.pack("<HH", label, len(pair)) + pair for label, pair in enumerate(pairs)]
    return struct.pack("<H", len(pairs)) + b"".join(parts)
