"""Answers of TensorFlow's C++ loader, which is what serves the model.

Python can load a SavedModel that this loader cannot run.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuner.errors import SetupError
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensorflow_c import SavedModel

from .signatures import INPUT

Answers = list[dict[str, npt.NDArray[Any]]]


def answers(saved_model: Path, calls: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
    """By signature, the outputs of calls with texts.

    The loader runs in a process of its own, as it does in a server: one into which Python's
    TensorFlow has not registered anything. Raises SetupError where it refuses the model or a call.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        try:
            return process.submit(run_all, saved_model, calls).result()
        except Exception as error:
            raise SetupError(
                f"TensorFlow's C++ loader does not run this SavedModel: {error}"
            ) from error


def run_all(saved_model: Path, calls: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
    try:
        with SavedModel(saved_model) as model:
            return {
                signature: [model.run(signature, {INPUT: as_strings(texts)}) for texts in several]
                for signature, several in calls.items()
            }
    except StatusError as error:
        raise RuntimeError(str(error)) from None  # A StatusError cannot be sent to a process.


def as_strings(texts: Sequence[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(texts), np.object_)
    array[:] = [text.encode() for text in texts]
    return array
