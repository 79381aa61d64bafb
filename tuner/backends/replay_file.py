"""Recorded grids on disk: one Parquet file each, small enough to be kept beside the code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Ge

import tuner
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.files import writable, written_whole
from tuner.load.parquet import parquet_table
from tuner.measure.facts import EnvironmentFacts
from tuner.measure.measurement import Estimate
from tuner.measure.trial_faults import configuration_faults
from tuner.spec.fingerprint import in_todays_words, study_of
from tuner.spec.metrics import METRICS
from tuner.spec.problems import KeyPath, short_text
from tuner.spec.space import Parameter, SearchSpace
from tuner.spec.typed import WrongTypeError, holding, typed

# History of the format: 1 (first).
FORMAT = 1

_FORMAT, _DOCUMENT = b"tune.replay", b"tune.study"

_EXPECTED = "expected what `tune export --format replay` writes"

_PARAMETER = "param_"
_BOUNDS = ("", "_low", "_high")
_SECONDS = (
    "window_seconds",
    "deploy_seconds",
    "burst_seconds",
    "tear_down_seconds",
    "discarded_seconds",
)
_WHOLE = {
    "number": pa.int32(),
    "pass": pa.int16(),
    "same_as": pa.int32(),
    "attempts": pa.int8(),
    "requests": pa.int32(),
    "warmup_requests": pa.int32(),
}
_AS_THEY_ARE = ("requests", "warmup_requests", "attempts", "stayed", "same_as")
_MOST_ROWS = 50_000
"""What a broken or hostile file says it holds may be more than memory."""

_WORDS = ("outcome", "reason", "verdict", "cut_short")


def write_table(path: Path, table: ReplayTable) -> None:
    """Write `table`; `path` has all of it or is untouched.

    A row per trial: `number`, `pass`, `param_<name>` (null where inactive), `outcome`, `reason`,
    `<metric>`, `<metric>_low` and `<metric>_high` in the metric's unit (null where not measured),
    `verdict`, `requests`, `warmup_requests`, `cut_short`, `attempts`, `stayed`, `same_as` (null
    unless it was not tried itself), `started`, the seconds, and `loss`: the parts of a lossy burst
    as JSON, null for others and absent from the files of earlier versions. Metrics and seconds are
    kept in single precision, 1 in 16 million. The file's metadata say the format, and all else as
    one JSON document. Raises InputError where the file cannot be written.
    """
    trials = table.trials
    names = [m for m in METRICS if any(m in t.metrics for t in trials)]
    columns: dict[str, pa.Array] = {
        **{name: pa.array(_numbers(trials, name), kind) for name, kind in _WHOLE.items()},
        **{_PARAMETER + p.name: _values(p, trials) for p in table.search_space},
        **{word: pa.array([str(getattr(t, word)) for t in trials]) for word in _WORDS},
        **{
            name + bound: _singles([_bound(t.metrics.get(name), bound) for t in trials])
            for name in names
            for bound in _BOUNDS
        },
        "stayed": pa.array([t.stayed for t in trials], pa.bool_()),
        "started": pa.array([_time(t.started) for t in trials], pa.timestamp("ms", "UTC")),
        **{name: _singles([getattr(t, name) for t in trials]) for name in _SECONDS},
        "loss": pa.array([t.loss and json.dumps(asdict(t.loss)) for t in trials], pa.string()),
    }
    document = {
        "study": table.study,
        "metrics": names,
        "failed": table.failed,
        "recorded": table.recorded,
        "written_by": f"tune {tuner.__version__}",
        "environment": table.environment,
        "specification": table.specification,
    }
    metadata = {_FORMAT: str(FORMAT), _DOCUMENT: json.dumps(document, allow_nan=False)}
    written = pa.table(columns)
    singles = [f.name for f in written.schema if f.type == pa.float32()]
    # Single bytes of numbers side by side compress better than numbers do. Statistics and
    # Arrow's own copy of the schema would be a fifth of the file.
    with (
        writable(path),
        written_whole(path) as file,
        pq.ParquetWriter(
            file,
            written.schema,
            compression="zstd",
            compression_level=19,
            use_dictionary=[c for c in written.column_names if c not in singles],
            use_byte_stream_split=singles,
            write_statistics=False,
            store_schema=False,
        ) as writer,
    ):
        writer.write_table(written)
        writer.add_key_value_metadata(metadata)


def read_table(path: Path) -> ReplayTable:
    """The inverse of `write_table`.

    Raises InputError when there is no such file, or it is not of a format that this version reads.
    """
    table, metadata = parquet_table(path, str(path), _MOST_ROWS, "rows", _EXPECTED)
    version = metadata.get(_FORMAT, b"none").decode(errors="replace")
    if version != str(FORMAT):
        raise InputError(
            f"{path}: a recorded grid of format {version}, expected {FORMAT}", _EXPECTED
        )
    try:
        head = typed(_Head, orjson.loads(metadata.get(_DOCUMENT, b"")))
        specification = in_todays_words(head.specification)
        space = study_of(specification).search_space
        trials = tuple(
            _trial(row, space, head.metrics, ("rows", index))
            for index, row in enumerate(_rows(table))
        )
    except orjson.JSONDecodeError as error:
        reason = f"{_DOCUMENT.decode()}: {error}"
        raise InputError(f"{path}: not a whole recorded grid: {reason}", _EXPECTED) from error
    except WrongTypeError as error:
        raise InputError(f"{path}: not a whole recorded grid: {error}", _EXPECTED) from error
    return ReplayTable(
        study=head.study,
        specification=specification,
        environment=head.environment,
        trials=trials,
        failed=head.failed,
    )


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as Python's values. Raises WrongTypeError for what Python does not have."""
    try:
        for batch in table.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()
    except (ArithmeticError, ValueError, pa.ArrowException) as error:  # a time beyond its calendar
        raise WrongTypeError(("rows",), f"expected values that can be read ({error})") from error


def _singles(numbers: Sequence[float | None]) -> pa.Array:
    return pa.array(numbers, pa.float32())


def _numbers(trials: Sequence[RecordedTrial], name: str) -> list[int | None]:
    return [getattr(t, "pass_number" if name == "pass" else name) for t in trials]


def _bound(estimate: Estimate | None, bound: str) -> float | None:
    if estimate is None:
        return None
    value: float | None = getattr(estimate, bound.removeprefix("_") or "value")
    return value


def _time(started: str) -> datetime:
    return datetime.fromisoformat(started).astimezone(UTC)


def _values(parameter: Parameter, trials: Sequence[RecordedTrial]) -> pa.Array:
    """A parameter's values in a column of their own type; names of mixed types as JSON."""
    held = [t.configuration.get(parameter.name) for t in trials]
    match _kind(parameter):
        case "json":
            return pa.array([None if v is None else json.dumps(v) for v in held], pa.string())
        case kind:
            return pa.array(held, kind)


def _kind(parameter: Parameter) -> pa.DataType | str:
    if parameter.type == "int":
        return pa.int64()
    if parameter.type == "float":
        return pa.float64()
    types = {type(choice) for choice in parameter.choices or ()}
    if types == {bool}:
        return pa.bool_()
    return pa.string() if types == {str} else "json"


def _trial(
    row: Mapping[str, Any], space: SearchSpace, metrics: Sequence[str], at: KeyPath
) -> RecordedTrial:
    """The trial of a row, which stands at `at`. Raises WrongTypeError."""

    def held(column: str) -> Any:  # noqa: ANN401 -- as Parquet holds it
        if column not in row:
            raise WrongTypeError((*at, column), "the column is missing")
        return row[column]

    def parsed(column: str) -> Any:  # noqa: ANN401 -- any JSON
        try:
            return orjson.loads(held(column))
        except (TypeError, ValueError) as error:
            raise WrongTypeError((*at, column), f"expected JSON ({error})") from error

    started = held("started")
    if not isinstance(started, datetime):
        raise WrongTypeError((*at, "started"), f"expected a time, found {short_text(started)}")
    columns = {p: _PARAMETER + p.name for p in space}
    document = {
        "number": held("number"),
        "pass_number": held("pass"),
        "configuration": {
            p.name: parsed(column) if _kind(p) == "json" else row[column]
            for p, column in columns.items()
            if held(column) is not None
        },
        "started": started.isoformat(timespec="seconds"),
        "metrics": {
            name: dict(
                zip(("value", "low", "high"), (held(name + b) for b in _BOUNDS), strict=True)
            )
            for name in metrics
            if held(name) is not None
        },
        **{name: held(name) for name in (*_WORDS, *_AS_THEY_ARE, *_SECONDS)},
        "loss": parsed("loss") if row.get("loss") else None,
    }
    trial = typed(RecordedTrial, document, at)
    for fault in configuration_faults(space, trial.configuration):
        column = _PARAMETER + str(fault.key[0])
        raise WrongTypeError((*at, column, *fault.key[1:]), fault.text)
    return trial


@dataclass(frozen=True)
class _Head:
    """What a file's metadata say, as far as it is read."""

    study: str
    metrics: tuple[str, ...]
    environment: Annotated[Mapping[str, Any], holding(EnvironmentFacts)]
    specification: Mapping[str, Any]
    failed: Annotated[int, Ge(0)]
