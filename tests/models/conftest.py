"""Builders that share the machine with other tests."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.models.tensorflow_process import ONE_THREAD, use_one_thread


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ONE_THREAD.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def tensorflow_process() -> Iterator[ProcessPoolExecutor]:
    """A process for what `tensorflow_process.py` does: to import TensorFlow takes seconds."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed (tune-serving[models])")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=use_one_thread) as process:
        yield process
