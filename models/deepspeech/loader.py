"""Answers of TensorFlow's C++ loader, which is what serves the model.

Python can load a SavedModel that this loader cannot run.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.errors import SetupError
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel

Floats = npt.NDArray[np.float32]

TOLERANCE = 1e-4


def transcripts(saved_model: Path, wavs: Sequence[bytes]) -> list[str]:
    """What `saved_model` hears in WAV files, one call each, as a server gets them.

    Raises SetupError where the loader refuses the model or a call.
    """
    outputs = answers(saved_model, "serving_default", [{"wav": as_strings([w])} for w in wavs])
    return [output["transcript"][0].decode("utf-8", "replace") for output in outputs]


def probabilities(saved_model: Path, audio: Sequence[Floats]) -> list[Floats]:
    """Probabilities (t, classes) of each of the samples (n,); raises SetupError likewise."""
    calls = [{"samples": samples[np.newaxis]} for samples in audio]
    outputs = answers(saved_model, "probabilities", calls)
    return [output["probabilities"][0] for output in outputs]


def require_same(found: Sequence[Floats], expected: Sequence[Floats]) -> float:
    """The greatest difference of probabilities; raises SetupError where it is no rounding."""
    if [a.shape for a in found] != [b.shape for b in expected]:
        raise SetupError("TensorFlow's C++ loader answers in another shape")
    difference = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    print(f"  probabilities differ by at most {difference:.1e}")
    # Not "more than", so that a NaN is refused too.
    if not difference <= TOLERANCE:
        raise SetupError(f"they differ by {difference:.1e}, more than {TOLERANCE:.0e}")
    return difference


def as_strings(values: Sequence[bytes]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def answers(
    saved_model: Path, signature: str, calls: Sequence[dict[str, Any]]
) -> list[dict[str, npt.NDArray[Any]]]:
    # In a process of its own, as in a server: one into which Python's TensorFlow has not
    # registered anything.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        try:
            return process.submit(run_all, saved_model, signature, calls).result()
        except Exception as error:
            raise SetupError(
                f"TensorFlow's C++ loader does not run this SavedModel: {error}"
            ) from error


def run_all(
    saved_model: Path, signature: str, calls: Sequence[dict[str, Any]]
) -> list[dict[str, npt.NDArray[Any]]]:
    try:
        with SavedModel(saved_model) as model:
            return [model.run(signature, call) for call in calls]
    except StatusError as error:
        raise RuntimeError(str(error)) from None  # A StatusError cannot be sent to a process.
