"""Request samples on disk: one Parquet file per trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tuner.errors import InputError, SetupError
from tuner.files import written_whole
from tuner.measure.samples import Burst, RequestSamples

# History of the format:
# 1  first; closed loops only
# 2  `delay_ns`; requests that were not sent have replica and connection -1
SAMPLES_FORMAT = 2
_READ = ("1", "2")

_MOST_ROWS = 4_000_000
"""Of a burst. What a broken or hostile file says it holds may be more than memory."""

_MEND = "expected the file as `tune` wrote it: restore it, or leave it out"

_FORMAT, _START, _END, _CONCURRENCY = (
    b"tune.format",
    b"tune.window_start_ns",
    b"tune.window_end_ns",
    b"tune.concurrency",
)


@dataclass(frozen=True, eq=False)
class Recording:
    """The samples of a burst, its window [start, end) on the samples' clock, and its
    concurrency.
    """

    samples: RequestSamples
    window_start_ns: int
    window_end_ns: int
    concurrency: int


def write_samples(path: Path, burst: Burst) -> None:
    """Write all samples of `burst`, warm-up included. `path` gets all of them or stays as it is.

    Raises SetupError where it cannot be written.
    The columns are the fields of `RequestSamples`. The schema's metadata holds window, concurrency
    and format version.
    """
    names = list(RequestSamples.__dataclass_fields__)
    metadata = {
        _FORMAT: SAMPLES_FORMAT,
        _START: burst.window_start_ns,
        _END: burst.window_end_ns,
        _CONCURRENCY: burst.concurrency,
    }
    table = pa.table({name: getattr(burst.samples, name) for name in names})
    table = table.replace_schema_metadata({k: str(v).encode() for k, v in metadata.items()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise SetupError(
            f"the samples of a trial cannot be written to {path}: {error.strerror or error}",
            "free space on its disk and check the permissions of its directory, then run the same"
            " command again: the study goes on where it stopped",
        ) from error


def parquet_table(
    path: Path | BinaryIO, named: str, most: int, rows_are: str, mend: str
) -> tuple[pa.Table, Mapping[bytes, bytes]]:
    """The table in a Parquet file of at most so many rows, and the file's metadata.

    Raises InputError where there is no such file, and for one that is larger or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            if rows > most:
                raise InputError(f"{named}: {rows} {rows_are}, expected at most {most}", mend)
            return file.read(), file.metadata.metadata or {}
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{named}: not a readable Parquet file: {reason}", mend) from error


def read_samples(path: Path | BinaryIO, called: str = "") -> Recording:
    """The inverse of `write_samples`. A file of format 1 has no delays, so they are 0.

    `called` is what errors call a file without a path. Raises InputError where there is no such
    file or this version does not read its format.
    """
    named = called or str(path)
    table, metadata = parquet_table(path, named, _MOST_ROWS, "requests", _MEND)
    version = metadata.get(_FORMAT, b"none").decode(errors="replace")
    if version not in _READ:
        expected = " or ".join(_READ)
        raise InputError(f"{named}: samples of format {version}, expected {expected}", _MEND)
    if version == "1":
        table = table.append_column("delay_ns", pa.array(np.zeros(len(table), np.int64)))
    try:
        columns = [table[name].to_numpy() for name in RequestSamples.__dataclass_fields__]
        start, end, concurrency = (int(metadata[key]) for key in (_START, _END, _CONCURRENCY))
    except (LookupError, ValueError) as error:
        raise InputError(f"{named}: not whole samples: {error!r}", _MEND) from error
    samples = RequestSamples(*(np.ascontiguousarray(column) for column in columns))
    return Recording(samples, start, end, concurrency)
