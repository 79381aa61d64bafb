"""Recorded grids on disk."""

from __future__ import annotations

import math
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.backends.replay_file import read_table, write_table
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.measure.measurement import CpuLine, Estimate, LossParts
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, Value

SPACE: dict[str, dict[str, Any]] = {
    "concurrency": {"type": "int", "role": "scenario", "default": 1, "choices": [1, 4]},
    "cpu": {"type": "float", "role": "decision", "default": 1.0, "choices": [0.25, 1.0]},
    "batching": {
        "type": "categorical",
        "role": "decision",
        "default": False,
        "choices": [False, True],
        "flag": "enable_batching",
    },
    "batch": {
        "type": "int",
        "role": "decision",
        "default": 8,
        "low": 8,
        "high": 16,
        "step": 8,
        "flag": "max_batch_size",
        "when": {"parameter": "batching", "comparison": "==", "values": [True]},
    },
    "mode": {
        "type": "categorical",
        "role": "decision",
        "default": "fast",
        "choices": ["fast", "exact"],
        "env": "MODE",
    },
    "mixed": {
        "type": "categorical",
        "role": "decision",
        "default": 1,
        "choices": [1, True, "1"],
        "env": "MIXED",
    },
    "memory": {"type": "int", "role": "decision", "default": 256, "choices": [256]},
    "replicas": {"type": "int", "role": "decision", "default": 1, "choices": [1]},
    "loss": {"type": "float", "role": "scenario", "default": 0.0, "choices": [0.0]},
}
SPECIFICATION = {
    "name": "grid",
    "search_space": SPACE,
    "model": {"name": "half_plus_two"},
    "serving": {},
    "load": {},
    "objectives": [{"metric": "art_ms", "direction": "minimize"}],
    "constraints": [{"metric": "error_rate", "operator": "<=", "bound": 0.01}],
}

single = st.floats(0, 1e9, width=32)
estimates = st.builds(Estimate, single, st.one_of(st.none(), single), st.one_of(st.none(), single))
words = st.text(string.ascii_letters + " ,;%éü", max_size=30)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    values: dict[str, Value] = {
        name: draw(st.sampled_from(keys["choices"]))
        for name, keys in SPACE.items()
        if name != "batch"
    }
    if values["batching"]:
        values["batch"] = draw(st.sampled_from([8, 16]))
    return Configuration.of({name: values[name] for name in SPACE if name in values})


measured = st.builds(
    RecordedTrial,
    number=st.integers(0, 10**6),
    pass_number=st.integers(0, 100),
    configuration=configurations(),
    outcome=st.just("measured"),
    started=st.sampled_from(["2026-11-24T09:28:19+00:00", "1999-12-31T23:59:59+00:00"]),
    metrics=st.dictionaries(st.sampled_from(list(METRICS)), estimates, max_size=5),
    verdict=st.sampled_from(["VALID", "WARN"]),
    requests=st.integers(0, 10**9),
    warmup_requests=st.integers(0, 10**9),
    window_seconds=single,
    cut_short=words,
    attempts=st.integers(1, 2),
    stayed=st.booleans(),
    deploy_seconds=single,
    burst_seconds=single,
    tear_down_seconds=single,
    discarded_seconds=single,
)
infeasible = st.builds(
    RecordedTrial,
    number=st.integers(0, 10**6),
    pass_number=st.integers(0, 100),
    configuration=configurations(),
    outcome=st.just("infeasible"),
    started=st.just("2026-11-24T09:28:19+00:00"),
    reason=st.sampled_from(["out of memory", "never ready"]),
    same_as=st.one_of(st.none(), st.integers(0, 10**6)),
)
grids = st.builds(
    ReplayTable,
    study=words,
    specification=st.just(SPECIFICATION),
    # Names that mean something have values of their type.
    environment=st.dictionaries(
        words.map("own {}".format),
        st.one_of(words, st.integers(-(2**53), 2**53), st.none(), single),
    ),
    trials=st.lists(st.one_of(measured, infeasible), max_size=8).map(tuple),
    failed=st.integers(0, 9),
)


@settings(max_examples=60, deadline=None)
@given(grid=grids)
def test_what_is_written_is_read(
    grid: ReplayTable, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "grid.parquet"
    write_table(path, grid)
    read = read_table(path)
    assert read == grid
    for before, after in zip(grid.trials, read.trials, strict=True):
        # 1 == True == 1.0: the types must be those of the study as well.
        assert [type(v) for v in after.configuration.values()] == [
            type(v) for v in before.configuration.values()
        ]


def trial(number: int, **changes: Any) -> RecordedTrial:  # noqa: ANN401 -- any field
    values = {name: keys["default"] for name, keys in SPACE.items() if name != "batch"}
    known = RecordedTrial(
        number, 0, Configuration.of(values), "measured", "2026-11-24T09:28:19+00:00"
    )
    return replace(known, **changes)


def table(*trials: RecordedTrial) -> ReplayTable:
    return ReplayTable("grid", SPECIFICATION, {"host": {"cpus": 2}}, trials)


def test_numbers_are_kept_to_single_precision(tmp_path: Path) -> None:
    value = math.pi * 1e3
    write_table(tmp_path / "grid", table(trial(0, metrics={"art_ms": Estimate(value)})))
    read = read_table(tmp_path / "grid").trials[0].metrics["art_ms"]
    assert read.value == pytest.approx(value, rel=2**-24)


def test_the_parts_of_a_lossy_burst_are_kept(tmp_path: Path) -> None:
    line = CpuLine(0.6, 0.01, 120.0, 0.004, 0.0002)
    parts = LossParts(900, 40, 1, Estimate(3.0, 2.9, 3.1), 250.5, 80.25, line)
    grid = table(trial(0, loss=parts), trial(1, loss=replace(parts, cpu=None)), trial(2))
    write_table(tmp_path / "grid", grid)
    assert read_table(tmp_path / "grid") == grid


def test_a_file_of_an_earlier_version_has_no_parts(tmp_path: Path) -> None:
    write_table(tmp_path / "grid", table(trial(0)))
    written = pq.read_table(tmp_path / "grid")
    with pq.ParquetFile(tmp_path / "grid") as file:
        metadata = file.metadata.metadata
    earlier = written.drop_columns(["loss"]).replace_schema_metadata(metadata)
    pq.write_table(earlier, tmp_path / "earlier")
    assert read_table(tmp_path / "earlier") == table(trial(0))


def test_other_tools_find_plain_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "grid", table(trial(3, metrics={"art_ms": Estimate(2.5, 2.0)})))
    row = pq.read_table(tmp_path / "grid").to_pylist()[0]
    assert (row["number"], row["pass"], row["outcome"]) == (3, 0, "measured")
    assert (row["art_ms"], row["art_ms_low"], row["art_ms_high"]) == (2.5, 2.0, None)
    assert (row["param_concurrency"], row["param_cpu"], row["param_batch"]) == (1, 1.0, None)
    assert (row["param_batching"], row["param_mode"]) == (False, "fast")


def test_two_passes_of_432_configurations_fit_into_200_kb(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy() -> Estimate:
        value, share = rng.lognormal(), rng.uniform()
        return Estimate(value, value * (1 - share), value * (1 + share))

    # As many metrics, and as many with intervals, as a trial on Docker has.
    bounded, plain = list(METRICS)[:10], list(METRICS)[10:27]
    trials = [
        trial(
            number,
            metrics={n: noisy() for n in bounded} | {n: Estimate(rng.lognormal()) for n in plain},
            requests=int(rng.integers(100, 5000)),
            deploy_seconds=rng.uniform(),
            burst_seconds=rng.uniform(),
        )
        for number in range(864)
    ]
    write_table(tmp_path / "grid", table(*trials))
    assert (tmp_path / "grid").stat().st_size < 200_000


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "grid.parquet"
    write_table(path, table(trial(0)))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_table(path, replace(table(trial(1)), environment={"power": math.nan}))
    with pytest.raises(pa.ArrowInvalid):
        write_table(path, table(trial(2**40)))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


LATE = pa.timestamp("us")
"""With 2**62 of them: long after Python's last year."""


def changed(path: Path, column: str, values: pa.Array | None) -> None:
    """The same grid with other values in a column, or without it."""
    with pq.ParquetFile(path) as file:
        held, metadata = file.read(), file.metadata.metadata
    index = held.column_names.index(column)
    held = held.remove_column(index)
    if values is not None:
        held = held.add_column(index, column, values)
    pq.write_table(held.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("number", None, "rows[0].number: the column is missing"),
        ("number", pa.array([1e99]), "rows[0].number: expected a whole number"),
        ("param_cpu", pa.array(["x"]), "rows[0].param_cpu: expected a value of the type float"),
        ("param_cpu", pa.array([None]), "rows[0].param_cpu: the key is missing"),
        ("param_mixed", pa.array(["{"]), "rows[0].param_mixed: expected JSON"),
        ("param_mixed", pa.array(["[1]"]), "rows[0].configuration.mixed: expected"),
        ("started", pa.array(["yesterday"]), "rows[0].started: expected a time, found 'yesterday'"),
        ("started", pa.array([2**62], LATE), "rows: expected values that can be read"),
        ("outcome", pa.array(["slow"]), "rows[0].outcome: expected 'measured' or 'infeasible'"),
        ("art_ms", pa.array([math.inf]), "rows[0].metrics.art_ms.value: expected"),
        ("art_ms", pa.array([1e308]), "rows[0].metrics.art_ms.value: expected a number <="),
        ("art_ms", pa.array([[1.0]]), "rows[0].metrics.art_ms.value: expected a number, found a"),
        ("art_ms_low", None, "rows[0].art_ms_low: the column is missing"),
        ("deploy_seconds", pa.array([-1.0]), "rows[0].deploy_seconds: expected a number >= 0"),
        ("loss", pa.array(["{}"]), "rows[0].loss.requests: the key is missing"),
    ],
)
def test_values_of_another_kind_are_refused_with_their_place(
    tmp_path: Path, column: str, values: pa.Array | None, said: str
) -> None:
    path = tmp_path / "grid.parquet"
    write_table(path, table(trial(0, metrics={"art_ms": Estimate(2.5, 2.0, 3.0)})))
    changed(path, column, values)
    with pytest.raises(InputError) as refused:
        read_table(path)
    assert refused.value.message.startswith(f"{path}: not a whole recorded grid: {said}")
    assert "--format replay" in refused.value.mend


def test_a_table_far_too_large_is_not_unpacked(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.nulls(50_001)}), tmp_path / "large.parquet")
    with pytest.raises(InputError, match="50001 rows, expected at most 50000"):
        read_table(tmp_path / "large.parquet")


def test_what_is_no_recorded_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.parquet: not a readable Parquet file"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(InputError, match=r"text\.parquet: not a readable Parquet file"):
        read_table(tmp_path / "text.parquet")
    pq.write_table(pa.table({"number": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="format none, expected 1") as caught:
        read_table(tmp_path / "other.parquet")
    assert "--format replay" in caught.value.mend
    for document in ("{}", "[]", "{"):
        held = pa.table({"number": [1]}).replace_schema_metadata(
            {b"tune.replay": b"1", b"tune.study": document.encode()}
        )
        pq.write_table(held, tmp_path / "half.parquet")
        with pytest.raises(InputError, match="not a whole recorded grid"):
            read_table(tmp_path / "half.parquet")
    write_table(tmp_path / "names.parquet", table(trial(0)))
    damaged = (tmp_path / "names.parquet").read_bytes().replace(b"concurrency", b"concurr\x9dncy")
    (tmp_path / "names.parquet").write_bytes(damaged)
    with pytest.raises(InputError, match=r"names\.parquet: not a readable Parquet file: 'utf-8'"):
        read_table(tmp_path / "names.parquet")
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_table(tmp_path / "nowhere" / "grid.parquet", table(trial(0)))
    assert "directory" in caught.value.mend
