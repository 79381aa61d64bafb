"""What tests do with TensorFlow's Python package, in one process, which imports it once.

It is not the tests' own process: there the C++ loader shall find nothing registered by Python.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
"""TensorFlow's threads spin while they wait for one another, and the networks here are small."""


def use_one_thread() -> None:
    os.environ.update(ONE_THREAD)


@dataclass(frozen=True)
class Finished:
    """What came of a script's `main`."""

    returncode: int
    stdout: str
    stderr: str


def script(module: str, arguments: Sequence[str]) -> Finished:
    """What the script `module`, such as models.deepspeech.build, does with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = importlib.import_module(module).main(arguments)
    return Finished(code, out.getvalue(), err.getvalue())


def freeze(path: Path, weights: Mapping[str, Any], sizes: Mapping[str, Any]) -> None:
    """Write a frozen graph with the nodes of a released one to `path`."""
    from tests.models.deepspeech_graph import graph_of  # noqa: PLC0415 it imports TensorFlow

    path.write_bytes(graph_of(weights, sizes).SerializeToString())
