"""The SavedModel around an acoustic model: audio in, transcript out.

    serving_default   wav: WAV files, strings (b,)            -> transcript: strings (b,)
    samples           samples: floats from -1 to 1, (b, n)    -> transcript: strings (b,)
    probabilities     samples                                 -> probabilities: (b, t, classes)

The last one is what a decoder with a language model of one's own needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .front_end import Geometry, Tensor, in_context, mfccs
from .network import logits
from .recordings import read_wavs

DEFAULT, SAMPLES, PROBABILITIES = "serving_default", "samples", "probabilities"

Acoustics = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From samples (b, n) and their lengths (b,) to log probabilities over time, (t, b, classes), the
blank last, and numbers of frames (b,)."""

ENGLISH = tuple(" abcdefghijklmnopqrstuvwxyz'")
"""The alphabet of the released English models, without the blank."""


@dataclass(frozen=True)
class Transcriber:
    """An acoustic model and how its probabilities become text.

    `variables` are what `acoustics` reads, to be stored with the SavedModel. A beam of width 1 is
    greedy decoding. `prefix` stands before every transcript.
    """

    acoustics: Acoustics
    variables: Mapping[str, tf.Variable]
    alphabet: tuple[str | bytes, ...]
    sample_rate: int
    beam_width: int
    prefix: str = ""

    def text(self, scores: Tensor, frames: Tensor) -> Tensor:
        """The best labelling of log probabilities (t, b, classes), strings (b,)."""
        if self.beam_width == 1:
            greedy = tf.raw_ops.CTCGreedyDecoder(
                inputs=scores, sequence_length=frames, merge_repeated=True
            )
            where, labels = greedy.decoded_indices, greedy.decoded_values
        else:
            beam = tf.raw_ops.CTCBeamSearchDecoder(
                inputs=scores,
                sequence_length=frames,
                beam_width=self.beam_width,
                top_paths=1,
                merge_repeated=False,
            )
            (where,), (labels,) = beam.decoded_indices, beam.decoded_values
        characters = tf.gather(tf.constant(self.alphabet), labels)
        texts = tf.strings.unsorted_segment_join(characters, where[:, 0], tf.size(frames))
        return tf.strings.join([self.prefix, texts]) if self.prefix else texts

    def probabilities(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What Python's TensorFlow makes of samples (n,): (t, classes)."""
        batch = tf.constant(samples[np.newaxis])
        scores, _ = self.acoustics(batch, all_of(batch))
        result: npt.NDArray[np.float32] = np.exp(scores.numpy()[:, 0])
        return result

    def write(self, directory: Path) -> None:
        """Write the SavedModel to `directory`."""

        def wav(wav: Tensor) -> dict[str, Tensor]:
            samples, lengths = read_wavs(wav, self.sample_rate)
            return {"transcript": self.text(*self.acoustics(samples, lengths))}

        def samples(samples: Tensor) -> dict[str, Tensor]:
            return {"transcript": self.text(*self.acoustics(samples, all_of(samples)))}

        def probabilities(samples: Tensor) -> dict[str, Tensor]:
            scores, _ = self.acoustics(samples, all_of(samples))
            return {"probabilities": tf.exp(tf.transpose(scores, [1, 0, 2]))}

        files = tf.TensorSpec([None], tf.string, "wav")
        audio = tf.TensorSpec([None, None], tf.float32, "samples")
        module = tf.Module()
        module.weights = dict(self.variables)
        signatures = {
            DEFAULT: tf.function(wav).get_concrete_function(files),
            SAMPLES: tf.function(samples).get_concrete_function(audio),
            PROBABILITIES: tf.function(probabilities).get_concrete_function(audio),
        }
        tf.saved_model.save(module, str(directory), signatures)


def all_of(samples: Tensor) -> Tensor:
    """Lengths (b,) of audio (b, n) of which every sample counts."""
    return tf.fill([tf.shape(samples)[0]], tf.shape(samples)[1])


def own_network(weights: Mapping[str, tf.Variable], geometry: Geometry) -> Acoustics:
    """The acoustics of `network.logits` behind the front end."""

    def acoustics(samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        coefficients, frames = mfccs(samples, lengths, geometry)
        scores = logits(weights, in_context(coefficients, geometry))
        return tf.nn.log_softmax(scores), frames

    return acoustics
