"""Golden requests, models, recorded grids and databases as targets."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.fuzzing import Case, Target
from tests.fuzz.mutations import VALUES, changed_bytes, changed_plain
from tuner.backends.replay_file import read_table
from tuner.measure.golden import load_golden, matches
from tuner.serving.added import Wish, add_model, read_requests
from tuner.serving.first_run import FirstAnswers
from tuner.spec.study import ModelSpec

_DATA = Path(__file__).parents[1] / "data"


def golden_files(directory: Path) -> Target:
    """Files of golden requests, and of requests for a model that is added."""
    pairs = [
        {"request": {"instances": [[float(i)]]}, "response": {"predictions": [[i / 2 + 2]]}}
        for i in range(8)
    ]

    def case(rng: random.Random) -> Case:
        path = directory / "golden.jsonl"
        changed, what = changed_plain(rng, pairs)
        lines = changed if isinstance(changed, list) else [changed]
        text = "\n".join(map(json.dumps, lines)).encode()
        if rng.random() < 0.5:
            text = changed_bytes(rng, text)
        path.write_bytes(text)
        reader = rng.choice((load_golden, read_requests))

        def read() -> None:
            if reader is load_golden:
                golden = load_golden(path)
                for number in range(len(golden.bodies)):
                    golden.answered(number, b'{"predictions": [[1]]}', 1e-3)
            else:
                read_requests(path)

        return Case(path, what, read)

    return case


def _random_answers(_model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    return FirstAnswers([b'{"predictions": [[1.5]]}' for _ in bodies])


def model_directories(directory: Path) -> Target:
    """SavedModels of `tune models add` with damaged files, missing ones, links and odd versions."""

    def case(rng: random.Random) -> Case:
        model, root = directory / "exported", directory / "root"
        for old in (model, root):
            shutil.rmtree(old, ignore_errors=True)
        root.mkdir()
        shutil.copytree(_DATA / "half_plus_two", model)
        version = model / "00000123"
        files = sorted(p for p in version.rglob("*") if p.is_file())
        # The bytes of the graph most often, since tune reads them itself.
        path = rng.choice((version / "saved_model.pb", version / "saved_model.pb", *files))
        match rng.randrange(8):
            case 0:
                path.unlink()
                what = f"without {path.name}"
            case 1:
                path.unlink()
                path.symlink_to(rng.choice(("/etc/hostname", "/dev/zero", path.name, "../x", "/")))
                what = f"{path.name} is a link"
            case 2:
                path.unlink()
                os.mkfifo(path)
                what = f"{path.name} is a pipe"
            case 3:
                name = rng.choice(("-1", str(2**63), str(2**70), "\u0661", "9" * 200, "0", "1e3"))
                version.rename(model / name)
                what = f"version {name}"
            case _:
                path.write_bytes(changed_bytes(rng, path.read_bytes()))
                what = f"damaged {path.name}"
        wish = Wish(
            "added", model, dims={"batch": rng.choice((1, 4, 10**9))} if rng.random() < 0.2 else {}
        )

        def read() -> object:
            return add_model(wish, _random_answers, matches, lambda _: None, root)

        # What is refused of a graph names its signature or input.
        names = (str(model), "signature", "input", "request")
        return Case(model, what, read, watched=root, names=names)

    return case


def _column(rng: random.Random, size: int) -> pa.Array:
    value: Any = rng.choice((*VALUES, float("nan"), float("inf"), 1e39, b"\xff"))
    if value in ({}, [{}]):  # Parquet has no such thing
        value = None
    try:
        return pa.array([value] * size)
    except (pa.ArrowException, OverflowError):
        return pa.nulls(size)


def recorded_grids(whole: Path, directory: Path) -> Target:
    """Recorded grids with damaged bytes, other columns, rows or documents."""
    intact = whole.read_bytes()
    with pq.ParquetFile(whole) as file:
        table, metadata = file.read().slice(0, 40), file.metadata.metadata
    document = json.loads(metadata[b"tune.study"])

    def tampered(rng: random.Random) -> tuple[str, pa.Table]:
        changed, said, held = table, "", metadata
        match rng.randrange(4):
            case 0:
                other, said = changed_plain(rng, document)
                held = {**metadata, b"tune.study": json.dumps(other).encode()}
            case 1:
                rows = sorted(rng.choices(range(len(table)), k=rng.randrange(60)))
                changed, said = table.take(pa.array(rows, pa.int64())), f"rows {rows}"
            case _:
                index = rng.randrange(len(table.column_names))
                name = table.column_names[index]
                changed, said = table.remove_column(index), f"column {name}"
                if rng.random() < 0.8:
                    changed = changed.add_column(index, name, _column(rng, len(table)))
        return said, changed.replace_schema_metadata(held)

    def case(rng: random.Random) -> Case:
        path = directory / "grid.parquet"
        if rng.random() < 0.3:
            what = "damaged bytes"
            path.write_bytes(changed_bytes(rng, intact))
        else:
            what, changed = tampered(rng)
            pq.write_table(changed, path)

        def read() -> None:
            grid = read_table(path)
            _ = grid.passes, grid.ordered_seconds, grid.recorded, grid.objectives, grid.constraints

        return Case(path, what, read)

    return case


def databases(whole: Path, directory: Path, reader: Callable[[Path], object]) -> Target:
    """SQLite databases with damaged pages, cut short, or of another program."""
    intact = whole.read_bytes()

    def case(rng: random.Random) -> Case:
        path = directory / "damaged.db"
        path.unlink(missing_ok=True)
        match rng.randrange(6):
            case 0:
                what = "another program's"
                with sqlite3.connect(path) as connection:
                    name = rng.choice(
                        ("notes", "studies", "trials", "alembic_version", "version_info")
                    )
                    connection.execute(f"CREATE TABLE {name} (x)")
                    connection.execute(f"INSERT INTO {name} VALUES (1)")
                connection.close()
            case 1:
                what = "values of another type"
                path.write_bytes(intact)
                with sqlite3.connect(path) as connection:
                    table = rng.choice(
                        (
                            "trial_user_attributes",
                            "study_user_attributes",
                            "trial_values",
                            "trial_params",
                            "trials",
                        )
                    )
                    columns = [r[1] for r in connection.execute(f"PRAGMA table_info({table})")]
                    changed = rng.choice(columns[1:])
                    value = rng.choice(("{", "[]", "null", "x", 1e308, -1, None, '{"format": 5}'))
                    try:
                        connection.execute(f"UPDATE {table} SET {changed} = ?", (value,))
                    except sqlite3.IntegrityError:
                        what = "refused by SQLite"
                    what = f"{table}.{changed} = {value}"
                connection.close()
            case 2:
                at = rng.randrange(len(intact) // 4096) * 4096
                what = f"page at {at}"
                path.write_bytes(intact[:at] + rng.randbytes(4096) + intact[at + 4096 :])
            case _:
                what = "damaged bytes"
                path.write_bytes(changed_bytes(rng, intact))
        # Optuna's storage is addressed by its study.
        return Case(path, what, lambda: reader(path), names=("'small'", "storage"))

    return case
