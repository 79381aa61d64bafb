"""Training data in batches of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Example:
    """Coefficients (t, features) and the labels (n,) to be heard in them."""

    coefficients: Floats
    labels: Integers


def batches(
    lengths: Sequence[int], size: int, rng: np.random.Generator | None = None
) -> list[Integers]:
    """All indices of `lengths` in batches of `size` of similar length.

    In random order, or without `rng` from the shortest to the longest.
    """
    ties = rng.random(len(lengths)) if rng else np.zeros(len(lengths))
    order = np.lexsort((ties, np.array(lengths)))
    parts: list[Integers] = list(np.array_split(order, range(size, len(order), size)))
    return [parts[index] for index in rng.permutation(len(parts))] if rng else parts


def batch(chosen: Sequence[Example]) -> tuple[Floats, Integers, Integers, Integers]:
    """Coefficients padded with zeros, numbers of frames, and the labels as a sparse tensor."""
    lengths = np.array([len(example.coefficients) for example in chosen], np.int32)
    coefficients = np.zeros(
        (len(chosen), lengths.max(), chosen[0].coefficients.shape[1]), np.float32
    )
    for row, example in zip(coefficients, chosen, strict=True):
        row[: len(example.coefficients)] = example.coefficients
    where = [(row, at) for row, e in enumerate(chosen) for at in range(len(e.labels))]
    labels = np.concatenate([example.labels for example in chosen]).astype(np.int32)
    return coefficients, lengths, np.array(where, np.int64).reshape(-1, 2), labels
