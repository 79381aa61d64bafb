"""From WAV files to samples, in TensorFlow operations that a SavedModel carries along.

Two kinds of file that TensorFlow's decoder refuses or the network cannot hear are taken too. A
program that writes to a pipe cannot know the length for the header; and few programs record at the
network's sample rate.
"""

from __future__ import annotations

import tensorflow as tf

from .front_end import Tensor

LOWEST_HZ, HIGHEST_HZ = 8_000, 192_000
"""Sample rates that are taken. From a lower one, a few bytes could become hours of audio."""

UNKNOWN_BYTES = 0x7FFFF000
"""A length from here on, or 0, stands for one that is not known: espeak-ng writes this one, others
0x7FFFFFFF or 0xFFFFFFFF."""

MOST_CHUNKS = 64  # before the one with the samples
HEADER_BYTES, CHUNK_HEADER_BYTES, FRAME_BYTES_AT = 12, 8, 32


def read_wavs(wavs: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """The first channels of WAV files of 16-bit PCM, as strings (b,).

    Returns samples from -1 to 1 at `sample_rate`, (b, n), shorter ones padded with silence, and
    their lengths (b,). What is no such file fails with INVALID_ARGUMENT.
    """

    def read(wav: Tensor) -> Tensor:
        audio, rate = tf.audio.decode_wav(with_length(wav), desired_channels=1)
        sentence = tf.strings.join(
            [
                f"This model hears {sample_rate} Hz, and converts {LOWEST_HZ} to {HIGHEST_HZ} Hz.",
                "The WAV file is of",
                tf.strings.as_string(rate),
                "Hz.",
            ],
            separator=" ",
        )
        taken = (rate >= LOWEST_HZ) & (rate <= HIGHEST_HZ)
        with tf.control_dependencies([tf.debugging.Assert(taken, [sentence])]):
            samples = tf.identity(audio[:, 0])
        return tf.cond(
            (rate == sample_rate) | (tf.size(samples) == 0),
            lambda: samples,
            lambda: resampled(samples, rate, sample_rate),
        )

    ragged = tf.map_fn(read, wavs, fn_output_signature=tf.RaggedTensorSpec([None], tf.float32))
    return ragged.to_tensor(), tf.cast(ragged.row_lengths(), tf.int32)


def with_length(wav: Tensor) -> Tensor:
    """A WAV file whose samples are said to end with the file, where their length is not known.

    What is no WAV file is returned as it is.
    """
    size = tf.strings.length(wav)

    def name(at: Tensor) -> Tensor:
        return tf.strings.substr(wav, tf.minimum(at, size), 4)

    def is_before(at: Tensor) -> Tensor:
        """Whether a chunk begins at `at`, and not yet that of the samples."""
        return (at + CHUNK_HEADER_BYTES <= size) & (name(at) != b"data")

    def following(at: Tensor) -> Tensor:
        # Chunks begin at even places. What is too long is behind the end in any case.
        length = tf.minimum(number(wav, at + 4), tf.cast(size, tf.int64))
        return at + CHUNK_HEADER_BYTES + tf.cast(length + length % 2, tf.int32)

    at = tf.while_loop(
        is_before, lambda at: (following(at),), (HEADER_BYTES,), maximum_iterations=MOST_CHUNKS
    )[0]
    begin = at + CHUNK_HEADER_BYTES

    def to_the_end() -> Tensor:
        # Whole samples of all channels: the file may end anywhere. The format comes first.
        frame = tf.maximum(tf.cast(number(wav, FRAME_BYTES_AT) % 2**16, tf.int32), 1)
        left = (size - begin) // frame * frame
        head, samples = tf.strings.substr(wav, 0, at + 4), tf.strings.substr(wav, begin, left)
        return tf.strings.join([head, four_bytes(left), samples])

    is_data = (begin <= size) & (at > FRAME_BYTES_AT) & (name(at) == b"data")
    said = tf.cond(is_data, lambda: number(wav, at + 4), lambda: tf.constant(1, tf.int64))
    return tf.cond((said == 0) | (said >= UNKNOWN_BYTES), to_the_end, lambda: wav)


def number(text: Tensor, at: Tensor) -> Tensor:
    """The four bytes at `at` as an unsigned number, little-endian."""
    digits = tf.io.decode_raw(tf.strings.substr(text, at, 4), tf.uint8)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * tf.constant([1, 2**8, 2**16, 2**24], tf.int64))


def four_bytes(value: Tensor) -> Tensor:
    """The inverse of `number`."""
    digits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(value, [0, 8, 16, 24]), 255)
    return tf.strings.reduce_join(tf.gather([bytes([byte]) for byte in range(256)], digits))


def resampled(samples: Tensor, rate: Tensor, wanted: int) -> Tensor:
    """Samples (n,) at `rate` Hz as they are at `wanted` Hz: those of the same spectrum."""
    count = tf.size(samples)
    seconds = tf.cast(count, tf.float64) / tf.cast(rate, tf.float64)
    new_count = tf.maximum(1, tf.cast(tf.round(seconds * wanted), tf.int32))
    spectrum, bins = tf.signal.rfft(samples), new_count // 2 + 1
    spectrum = tf.pad(spectrum[:bins], [[0, tf.maximum(0, bins - tf.shape(spectrum)[0])]])
    scale = tf.cast(new_count, tf.float32) / tf.cast(count, tf.float32)
    return tf.signal.irfft(spectrum, [new_count]) * scale
