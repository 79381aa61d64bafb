"""All targets by name, made from one small study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fuzz import other_files, study_files, yaml_files
from tests.fuzz.fuzzing import Target
from tests.study import small
from tuner.export.findings_document import document, numbered_document
from tuner.pages.study_page import study_blocks
from tuner.pages.trial_page import trial_blocks
from tuner.results.study_file import read_study, write_study
from tuner.spec.load import results_directory
from tuner.study.storage import finished_study, open_storage

LOSSY = ("type: float, choices: [0], default: 0", "type: float, choices: [0, 1], default: 0")
_GRID = Path(__file__).parents[2] / "benchmarks" / "data" / "mnist_grid-grid.parquet"


def made_study(directory: Path) -> tuple[Path, Path]:
    """A study file and the database of the same study. The working directory is `directory`."""
    spec = small.specification(small.FEASIBLE, LOSSY)
    small.run(spec)
    url, results = small.url_of(spec), results_directory(spec)
    path = directory / "whole.study.zip"
    write_study(path, finished_study(spec.name, open_storage(url, create=False), results))
    return path, Path(url.removeprefix("sqlite:///"))


def _targets(directory: Path) -> Mapping[str, Target]:
    whole, database = made_study(directory)
    names = ("yaml", "archives", "models", "grids", "golden", "databases")
    places = {name: directory / name for name in names}
    for place in places.values():
        place.mkdir()
    return {
        "YAML files": yaml_files.yaml_files(places["yaml"]),
        "study documents": study_files.documents(whole, places["archives"], READERS),
        "study archives": study_files.archives(whole, places["archives"], read_all),
        "model directories": other_files.model_directories(places["models"]),
        "recorded grids": other_files.recorded_grids(_GRID, places["grids"]),
        "golden requests": other_files.golden_files(places["golden"]),
        "databases": other_files.databases(database, places["databases"], read_database),
    }


def targets_in(directory: Path) -> Mapping[str, Target]:
    """Each target by its name; what it writes is below `directory`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        return _targets(directory)


def read_all(path: Path) -> None:
    """The record, and the samples of every trial."""
    study = read_study(path)
    for trial in study.record.trials:
        study.recording(trial)


def read_database(path: Path) -> None:
    storage = open_storage(f"sqlite:///{path}", create=False)
    try:
        document(finished_study("small", storage, path.parent).record)
    finally:
        storage.remove_session()


def _summary(path: Path) -> None:
    list(study_blocks(read_study(path).record))


def _findings(path: Path) -> None:
    document(read_study(path).record)


def _trials(path: Path) -> None:
    record = read_study(path).record
    for trial in record.trials:
        numbered_document(record, trial.number)
        list(trial_blocks(record, trial))


READERS = {"read": read_study, "show": _summary, "show --json": _findings, "show N": _trials}
