"""The rows of a CSV or Parquet file, one after the other."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tuner.errors import InputError
from tuner.spec.problems import nearest

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
"""As JSON writes a number: what looks like another, such as 007 or 1_000, stays a text."""

_MOST_DIGITS = 18
"""Of a whole number in 64 bits. A longer one, such as the number of a card, stays a text too."""

MOST_ROW_GROUP_BYTES = 512 * 2**20
"""Of the columns that are read, before they were compressed."""

Row = Mapping[str, object]


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Each row with its place, as a mapping that has at least `columns`.

    Raises InputError for a column that is not there, and for a file that is damaged.
    """
    rows = _parquet_rows if path.suffix.lower() == ".parquet" else _text_rows
    try:
        yield from rows(path, columns)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _text_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, "excel-tab" if path.suffix.lower() == ".tsv" else "excel")
        try:
            names = next(reader, [])
            _require(path, columns, names)
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise InputError(
                        f"{where}: {len(cells)} cells in a table of {len(names)} columns",
                        "put a cell with a comma or a line break in quotation marks",
                    )
                yield where, dict(zip(names, map(_cell, cells), strict=True))
        except UnicodeDecodeError as error:  # of a block, so its line is not known
            raise InputError(f"{path} is not UTF-8: {error}", "write it as UTF-8") from error
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}",
                "separate its cells as Excel does in CSV",
            ) from error


def _cell(text: str) -> object:
    """A number where JSON would have one, nothing where the cell is empty, else the text."""
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        return text
    if any(mark in text for mark in ".eE"):
        return float(text)
    return int(text) if len(text) <= _MOST_DIGITS else text


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa  # noqa: PLC0415 -- most read no Parquet, and it takes time
    from pyarrow import parquet  # noqa: PLC0415

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _require(path, columns, file.schema_arrow.names)
            for index in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(index)
                parts = (group.column(i) for i in range(group.num_columns))
                size = sum(
                    part.total_uncompressed_size
                    for part in parts
                    if part.path_in_schema.split(".")[0] in columns
                )
                if size > MOST_ROW_GROUP_BYTES:
                    raise InputError(
                        f"{path}: row group {index} has {size >> 20} MiB, more than"
                        f" {MOST_ROW_GROUP_BYTES >> 20}",
                        "write it with smaller row groups",
                    )
            for batch in file.iter_batches(batch_size=256, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}, after row {number}: {error}", "write the file anew") from error


def _require(path: Path, columns: Sequence[str], names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}.intersection(columns)):
        raise InputError(f"{path} has two columns {twice[0]!r}", "rename one of them")
    for column in columns:
        if column not in names:
            hint = nearest(column, names) or f"; it has {', '.join(map(repr, names)) or 'none'}"
            raise InputError(
                f"{path}: the template names column {column!r}, which is not there{hint}",
                "name a column of the table, or write {{ and }} for braces",
            )
