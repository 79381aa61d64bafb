"""Flags of batching and of threads, which every server of tune has alike."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from .batching import BatchingParameters
from .flag_types import boolean, positive, sizes

_FLAGS = (
    "max_batch_size",
    "batch_timeout_micros",
    "num_batch_threads",
    "max_enqueued_batches",
    "allowed_batch_sizes",
    "pad_variable_length_inputs",  # not every server has it
)

MOST_THREADS = 64
"""By default; each waits for its batch."""


def add_batching_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--enable_batching",
        type=boolean,
        nargs="?",
        const=True,
        default=False,
        help="run requests that come at about the same time as one batch [false]",
    )
    add("--max_batch_size", type=positive, help="largest batch, in rows [1000]")
    add("--batch_timeout_micros", type=int, help="how long a batch may wait to be filled [0]")
    add("--num_batch_threads", type=positive, help="batches run at a time [CPU limit, rounded up]")
    add("--max_enqueued_batches", type=positive, help="batches that may wait, per signature [10]")
    add("--allowed_batch_sizes", type=sizes, help="sizes that batches are filled up to: 1,2,4")


def batching_parameters(
    given: argparse.Namespace, cores: int, in_file: Mapping[str, Any] | None = None
) -> BatchingParameters | None:
    """What the flags say, and before them a file; None without batching.

    Raises ValueError where a flag is set without batching.
    """
    values = {name: getattr(given, name, None) for name in _FLAGS}
    values = {name: value for name, value in values.items() if value is not None}
    if given.enable_batching:
        return BatchingParameters(**{"num_batch_threads": cores, **(in_file or {}), **values})
    for name in values:
        refuse_without_batching(name)
    return None


def refuse_without_batching(name: str) -> None:
    raise ValueError(f"--{name} is set without setting --enable_batching to true")


def request_threads(cores: int, batching: BatchingParameters | None) -> int:
    """How many requests are worked on at the same time by default."""
    if batching is None:
        return cores + 1
    return max(cores + 1, min(2 * batching.max_batch_size, MOST_THREADS))
