"""From audio to the network's input, in TensorFlow operations that a SavedModel carries along.

As DeepSpeech does it: `samples_to_mfccs` of its training code says which operations, and its
native client how a stream is cut: every window that is full, then once more what is left, padded
with silence; and frames of zeros as the context of the first and the last frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any
"""A tf.Tensor; shapes are given where one is taken or returned."""


@dataclass(frozen=True)
class Geometry:
    """Sizes of the front end; the defaults are those of the released English models.

    `sample_rate` is in Hz, `window` and `step` are in samples; a step of the network sees
    `features` coefficients of each of `context` frames before, of its own frame, and after it.
    """

    sample_rate: int = 16_000
    window: int = 512
    step: int = 320
    features: int = 26
    context: int = 9

    @property
    def inputs(self) -> int:
        """Numbers that a step of the network sees."""
        return (2 * self.context + 1) * self.features


def frame_counts(lengths: Tensor, geometry: Geometry) -> Tensor:
    """Frames of audio of so many samples: the full windows, and one of what is left."""
    return tf.maximum((lengths - geometry.window) // geometry.step + 1, 0) + 1


def padded(samples: Tensor, geometry: Geometry) -> Tensor:
    """`samples` (b, n) with silence behind, so that all frames of the longest are full windows."""
    length = tf.shape(samples)[1]
    last = (frame_counts(length, geometry) - 1) * geometry.step
    return tf.pad(samples, [[0, 0], [0, last + geometry.window - length]])


def mfccs(samples: Tensor, lengths: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Mel-frequency cepstral coefficients (b, t, features) and numbers of frames (b,).

    Frames behind the end of shorter audio are zero.
    """
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=tf.transpose(padded(samples, geometry)),
        window_size=geometry.window,
        stride=geometry.step,
        magnitude_squared=True,
    )
    coefficients = tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=geometry.sample_rate,
        dct_coefficient_count=geometry.features,
        upper_frequency_limit=geometry.sample_rate / 2,
    )
    frames = frame_counts(lengths, geometry)
    inside = tf.sequence_mask(frames, tf.shape(coefficients)[1], coefficients.dtype)
    return coefficients * inside[:, :, tf.newaxis], frames


def in_context(coefficients: Tensor, geometry: Geometry) -> Tensor:
    """Each frame of (b, t, features) between its neighbours: (b, t, inputs), the oldest first."""
    steps = tf.shape(coefficients)[1]
    around = tf.pad(coefficients, [[0, 0], [geometry.context, geometry.context], [0, 0]])
    neighbours = [around[:, shift : shift + steps] for shift in range(2 * geometry.context + 1)]
    return tf.ensure_shape(tf.concat(neighbours, axis=2), [None, None, geometry.inputs])
