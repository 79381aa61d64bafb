"""Recorded grids on disk: one Parquet file each, small enough to be kept beside the code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import tuner
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.files import writable, written_whole
from tuner.measure.measurement import Estimate, LossParts
from tuner.spec.fingerprint import space_of
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value

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
    try:
        with pq.ParquetFile(path) as file:
            table, metadata = file.read(), file.metadata.metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}", _EXPECTED
        ) from error
    version = metadata.get(_FORMAT, b"none").decode(errors="replace")
    if version != str(FORMAT):
        raise InputError(
            f"{path}: a recorded grid of format {version}, expected {FORMAT}", _EXPECTED
        )
    try:
        document = json.loads(metadata[_DOCUMENT])
        space = space_of(document["specification"])
        return ReplayTable(
            study=document["study"],
            specification=document["specification"],
            environment=document["environment"],
            trials=tuple(_trial(row, space, document["metrics"]) for row in table.to_pylist()),
            failed=document["failed"],
        )
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a whole recorded grid: {error!r}", _EXPECTED) from error


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


def _value(parameter: Parameter, held: Any) -> Value:  # noqa: ANN401 -- as Parquet holds it
    read: Value = json.loads(held) if _kind(parameter) == "json" else held
    return read


def _trial(row: Mapping[str, Any], space: SearchSpace, metrics: Sequence[str]) -> RecordedTrial:
    configuration = {
        p.name: _value(p, held) for p in space if (held := row[_PARAMETER + p.name]) is not None
    }
    return RecordedTrial(
        number=row["number"],
        pass_number=row["pass"],
        configuration=Configuration.of(configuration),
        outcome=row["outcome"],
        started=row["started"].isoformat(timespec="seconds"),
        reason=row["reason"],
        metrics={
            name: Estimate(*(row[name + bound] for bound in _BOUNDS))
            for name in metrics
            if row[name] is not None
        },
        verdict=row["verdict"],
        requests=row["requests"],
        warmup_requests=row["warmup_requests"],
        cut_short=row["cut_short"],
        attempts=row["attempts"],
        stayed=row["stayed"],
        same_as=row["same_as"],
        **{name: row[name] for name in _SECONDS},
        loss=LossParts.from_json(json.loads(loss)) if (loss := row.get("loss")) else None,
    )
