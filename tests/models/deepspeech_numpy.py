"""DeepSpeech in NumPy, step by step and in double precision: what a converted graph must give.

Sources: Mozilla DeepSpeech's `create_model` and its native client for the order of things; for the
coefficients TensorFlow's `mfcc_mel_filterbank.cc`, `mfcc_dct.cc` and `spectrogram.cc`; for the
cell `BlockLSTM`'s documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MEL_CHANNELS, LOWEST_HZ, SMALLEST = 40, 20.0, 1e-12


@dataclass(frozen=True)
class Sizes:
    sample_rate: int = 16_000
    window: int = 512
    step: int = 320
    features: int = 26
    context: int = 9
    n_hidden: int = 12
    classes: int = 29


def random_weights(sizes: Sizes, seed: int) -> dict[str, Array]:
    """Of a scale at which neither the clipped layers nor the gates saturate."""
    rng = np.random.default_rng(seed)
    n = sizes.n_hidden

    def layer(inputs: int, outputs: int, scale: float) -> Array:
        values: Array = rng.normal(0, scale / np.sqrt(inputs), (inputs, outputs))
        return values.astype(np.float32)

    inputs = (2 * sizes.context + 1) * sizes.features
    return {
        "layer_1/weights": layer(inputs, n, 0.3),
        "layer_2/weights": layer(n, n, 2),
        "layer_3/weights": layer(n, n, 2),
        "lstm/kernel": layer(2 * n, 4 * n, 1),
        "layer_5/weights": layer(n, n, 3),
        "layer_6/weights": layer(n, sizes.classes, 3),
        **{f"layer_{k}/bias": rng.normal(0, 0.5, n).astype(np.float32) for k in (1, 2, 3, 5)},
        "lstm/bias": rng.normal(0, 0.5, 4 * n).astype(np.float32),
        "layer_6/bias": rng.normal(0, 0.5, sizes.classes).astype(np.float32),
    }


def probabilities(weights: Mapping[str, Array], samples: Array, sizes: Sizes) -> Array:
    """Of each class in each step, (t, classes), for samples (n,) from -1 to 1."""
    frames = [coefficients(window, sizes) for window in windows(samples, sizes)]
    silence = [np.zeros(sizes.features)] * sizes.context
    frames = silence + frames + silence
    c = h = np.zeros(sizes.n_hidden)
    results = []
    for at in range(len(frames) - 2 * sizes.context):
        values = np.concatenate(frames[at : at + 2 * sizes.context + 1])
        for layer in ("layer_1", "layer_2", "layer_3"):
            values = clipped(values @ weights[f"{layer}/weights"] + weights[f"{layer}/bias"])
        c, h = cell(np.concatenate([values, h]), c, weights)
        values = clipped(h @ weights["layer_5/weights"] + weights["layer_5/bias"])
        scores = values @ weights["layer_6/weights"] + weights["layer_6/bias"]
        exponentials = np.exp(scores - scores.max())
        results.append(exponentials / exponentials.sum())
    return np.array(results)


def windows(samples: Array, sizes: Sizes) -> list[Array]:
    """All full windows, then what is left, filled up with silence."""
    found = []
    rest = samples.astype(np.float64)
    while len(rest) >= sizes.window:
        found.append(rest[: sizes.window])
        rest = rest[sizes.step :]
    return [*found, np.pad(rest, (0, sizes.window - len(rest)))]


def clipped(values: Array) -> Array:
    return np.clip(values, 0, 20)


def cell(inputs: Array, c: Array, weights: Mapping[str, Array]) -> tuple[Array, Array]:
    gates = inputs @ weights["lstm/kernel"] + weights["lstm/bias"]
    i, candidate, f, o = np.split(gates, 4)
    c = sigmoid(i) * np.tanh(candidate) + sigmoid(f) * c
    return c, sigmoid(o) * np.tanh(c)


def sigmoid(values: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-values))
    return result


def coefficients(window: Array, sizes: Sizes) -> Array:
    """Mel-frequency cepstral coefficients (features,) of one window."""
    n = len(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    length = 1 << (n - 1).bit_length()
    magnitudes = np.abs(np.fft.rfft(window * hann, length))
    energies = mel_filters(len(magnitudes), sizes.sample_rate) @ magnitudes
    logarithms = np.log(np.maximum(energies, SMALLEST))
    rows = np.arange(sizes.features)[:, np.newaxis]
    angles = rows * (np.arange(MEL_CHANNELS) + 0.5) * np.pi / MEL_CHANNELS
    result: Array = np.sqrt(2 / MEL_CHANNELS) * np.cos(angles) @ logarithms
    return result


def mel_filters(bins: int, sample_rate: int) -> Array:
    """Triangles (channels, bins), evenly spaced in mel, on what lies above LOWEST_HZ."""
    hz = np.arange(bins) * sample_rate / 2 / (bins - 1)
    edges = np.linspace(mel(LOWEST_HZ), mel(sample_rate / 2), MEL_CHANNELS + 2)
    at = mel(hz)[np.newaxis]
    low, centre, high = (edges[k : k + MEL_CHANNELS, np.newaxis] for k in range(3))
    rising, falling = (at - low) / (centre - low), (high - at) / (high - centre)
    used = np.arange(bins) >= int(1.5 + LOWEST_HZ / hz[1])
    result: Array = np.maximum(0, np.minimum(rising, falling)) * used
    return result


def mel(hz: Any) -> Any:  # noqa: ANN401 a number or an array
    return 1127 * np.log1p(hz / 700)
