"""Recorded grids: written to a file, and found by the name that a person gives."""

from __future__ import annotations

from pathlib import Path

from tuner.backends.recording import recorded_grid
from tuner.backends.replay_file import read_table, write_table
from tuner.backends.replay_table import ReplayTable
from tuner.errors import InputError
from tuner.results.wording import counted
from tuner.spec.load import results_directory
from tuner.study.storage import default_url, open_storage, stored_record


def write_grid(name: str, url: str, output: Path | None) -> str:
    """Write the study of that name as a recorded grid, and say what was written.

    Raises InputError without a file to write to, and for a study without finished trials.
    """
    if output is None:
        raise InputError(
            "format replay is a Parquet file, which is not for a terminal",
            "name it by --output FILE.parquet",
        )
    table = recorded_grid(stored_record(name, open_storage(url, create=False)))
    if not table.trials:
        raise InputError(f"study {name!r} has no finished trial", "run it first")
    write_table(output, table)
    return (
        f"wrote {output} from {url}: {counted(len(table.trials), 'trial')} of"
        f" {counted(len(table.by_configuration), 'configuration')}, {len(table.passes)} whole"
        f" passes, {output.stat().st_size:,} bytes"
    )


def chosen_grid(choice: str, study: str, backend: str) -> ReplayTable:
    """The recorded grid that `choice` names: a Parquet file, a storage URL, or a study.

    A URL may end in `#NAME`, the study in it if that is not `study`. Of a study (`grid`: of `study`
    itself) it is the full grid in its results, measured by `backend`, else the file
    `benchmarks/data/NAME-grid.parquet`. Raises InputError where there is none.
    """
    if choice.endswith(".parquet"):
        return read_table(Path(choice))
    if "://" in choice:
        url, _, name = choice.partition("#")
        return recorded_grid(stored_record(name or study, open_storage(url, create=False)))
    name = study if choice == "grid" else choice
    # What is replayed was measured for real, once.
    url = default_url(
        results_directory(name), "docker" if backend == "replay" else backend, grid=True
    )
    path = Path(url.removeprefix("sqlite:///"))
    if path.exists():
        return recorded_grid(stored_record(name, open_storage(url, create=False)))
    file = Path("benchmarks/data") / f"{name}-grid.parquet"
    if file.exists():
        return read_table(file)
    raise InputError(
        f"no full grid of study {name!r} was recorded: neither {path} nor {file} is there",
        f"measure it (tune run --study {name} --sampler grid), or name a file: --against"
        " FILE.parquet",
    )
