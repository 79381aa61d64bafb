"""The Optuna storage under a study: open it, start or resume a study in it, read it back."""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState

from tuner.backends import BACKENDS
from tuner.errors import InputError
from tuner.measure.record import ATTRIBUTE, FailedTrial, StudyRecord, TrialRecord
from tuner.results.study_file import FinishedStudy
from tuner.search.distributions import configuration_of
from tuner.spec.fingerprint import comparable, space_of, to_dict
from tuner.spec.space import SearchSpace
from tuner.spec.study import StudySpec
from tuner.study.turns import locked, turn_in

SPECIFICATION = "specification"
COMPARABLE = "comparable"
BACKEND = "backend"
ENVIRONMENT = "environment"
SAMPLES = "samples"
REASON = "reason"
"""Attributes of a study or of its trials."""

_ENVIRONMENT_OF = "environment "
"""Begins the attributes of a study that hold the environments of its runs, each by its key."""

_PATIENCE = 60.0
"""Seconds for which one process waits for another that writes to the same SQLite file."""


def default_url(results: Path, backend: str, *, grid: bool = False) -> str:
    """The SQLite file of a study: `results/study.db`, or one of its own for simulated trials.

    A full grid has files of its own: `grid.db`, `simulated-grid.db`.
    """
    if grid:
        name = "grid.db" if backend == "docker" else f"{backend}-grid.db"
    else:
        name = "study.db" if backend == "docker" else f"{backend}.db"
    return f"sqlite:///{results / name}"


def open_storage(url: str, *, create: bool) -> BaseStorage:
    """The storage behind an Optuna storage URL.

    Without `create`, a SQLite file that is not there is an InputError instead of an empty
    database. Raises InputError when the URL is wrong or the database cannot be reached.
    """
    prefix = "sqlite:///"
    if url.startswith(prefix):
        path = Path(url.removeprefix(prefix))
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise InputError(
                f"there is no study database at {path}",
                "run the study first (`tune run --study NAME`), or name its storage by --storage",
            )
    try:
        if not url.startswith(prefix):
            return optuna.storages.get_storage(_with_driver(url))
        # A worker waits for the others rather than break, and one of them makes the tables.
        patient = {"connect_args": {"timeout": _PATIENCE}}
        with locked(Path(f"{path}.lock")) if create else nullcontext():
            return optuna.storages.get_storage(
                optuna.storages.RDBStorage(url, engine_kwargs=patient)
            )
    except ImportError as error:
        missing = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        raise InputError(
            f"storage {_without_password(url)} needs the Python module {missing.name}",
            "pip install 'tune-serving[postgresql]' for PostgreSQL, or that database's own module",
        ) from error
    except Exception as error:  # SQLAlchemy's and each driver's own errors have no common base
        raise InputError(
            f"storage {_without_password(url)} cannot be opened: {str(error).splitlines()[0]}",
            "expected an Optuna storage URL such as sqlite:///study.db or"
            " postgresql://user@host/database",
        ) from error


def _with_driver(url: str) -> str:
    """The URL with the driver of `tune-serving[postgresql]`, where it names PostgreSQL only.

    Which one is meant then differs between versions of SQLAlchemy.
    """
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg2{separator}{rest}" if scheme == "postgresql" else url


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if "@" in rest else url


def start_or_resume(spec: StudySpec, storage: BaseStorage, backend: str) -> Study:
    """The Optuna study of `spec`, made where it is not there yet.

    Raises InputError when the study there was made by another backend, or with a specification
    whose trials cannot be compared with this one's; the message names the keys that differ.
    """
    with turn_in(storage, spec.name):
        return _start_or_resume(spec, storage, backend)


def _start_or_resume(spec: StudySpec, storage: BaseStorage, backend: str) -> Study:
    study = optuna.create_study(
        study_name=spec.name,
        storage=storage,
        directions=[o.direction for o in spec.objectives],
        load_if_exists=True,
    )
    found = study.user_attrs
    if COMPARABLE in found:
        if found[BACKEND] != backend:
            raise InputError(
                f"study {spec.name!r} in this storage was made by backend {found[BACKEND]!r}",
                f"go on with --backend {found[BACKEND]}, or give another --storage",
            )
        changed = _differences(found[COMPARABLE], json.loads(json.dumps(comparable(spec))))
        if changed:
            raise InputError(
                f"{spec.path}: study {spec.name!r} was started with other settings, so its trials"
                " cannot be compared with new ones: " + "; ".join(changed[:5]),
                "undo the change, or start afresh: name the study anew, give another --storage,"
                " or move its results away",
            )
    if SAMPLES not in found:
        study.set_user_attr(SAMPLES, f"{backend}-{uuid.uuid4().hex[:8]}")
    # Last what says that the others are there: a start may be killed in between.
    study.set_user_attr(BACKEND, backend)
    study.set_user_attr(SPECIFICATION, to_dict(spec))
    study.set_user_attr(COMPARABLE, comparable(spec))
    with warnings.catch_warnings():
        # Experimental in Optuna since 3.2, and how optuna-dashboard knows the axes' names.
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([o.metric for o in spec.objectives])
    return study


def keep_environment(study: Study, environment: Mapping[str, Any]) -> str:
    """Store the environment of a run that begins, the study's last one; the key of it.

    Trials name the key instead of holding a copy each. Equal environments share one.
    """
    text = json.dumps(environment, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    study.set_user_attr(_ENVIRONMENT_OF + key, environment)
    study.set_user_attr(ENVIRONMENT, environment)
    return key


def _differences(old: Any, new: Any, path: str = "") -> list[str]:  # noqa: ANN401 -- any JSON
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path} was {old!r}, is {new!r}"]


@dataclass(frozen=True)
class StudySummary:
    """A line of `tune list`."""

    name: str
    backend: str
    complete: int
    running: int


def summaries(storage: BaseStorage) -> list[StudySummary]:
    """The studies of `tune` in a storage, by name."""
    found = []
    for name in sorted(optuna.get_all_study_names(storage)):
        study = optuna.load_study(study_name=name, storage=storage)
        if SPECIFICATION not in study.user_attrs:
            continue
        states = [t.state for t in study.get_trials(deepcopy=False)]
        found.append(
            StudySummary(
                name,
                study.user_attrs[BACKEND],
                states.count(TrialState.COMPLETE),
                states.count(TrialState.RUNNING),
            )
        )
    return found


def found_studies(
    names: Sequence[str],
    results: Callable[[str], Path],
    urls: Sequence[str] | None,
) -> list[tuple[str, list[StudySummary]]]:
    """Per study name, what its default databases hold; with `urls`, what those hold instead."""
    if urls is not None:
        held = [s for url in urls for s in summaries(open_storage(url, create=False))]
        return [(s.name, [s]) for s in held]
    found = []
    for name in names:
        held = []
        for backend in BACKENDS:
            url = default_url(results(name), backend)
            if Path(url.removeprefix("sqlite:///")).exists():
                held += summaries(open_storage(url, create=False))
        found.append((name, held))
    return found


def samples_directory(study: Study, results: Path) -> Path:
    """Where the Parquet files of a study's trials are, apart from those of another storage."""
    return results / "samples" / str(study.user_attrs[SAMPLES])


def finished_trials(name: str, url: str) -> list[TrialRecord]:
    """The records of a study; none where its SQLite file or the study is not there yet."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return []
    storage = open_storage(url, create=False)
    if name not in optuna.get_all_study_names(storage):
        return []
    return records(optuna.load_study(study_name=name, storage=storage))


def study_id(name: str, storage: BaseStorage) -> int:
    """The number by which optuna-dashboard addresses a study. Raises InputError."""
    read_study(name, storage)
    return storage.get_study_id_from_name(name)


def read_study(name: str, storage: BaseStorage) -> StudyRecord:
    """The finished trials of a study. Raises InputError where there is no such study."""
    return study_record(stored(name, storage))


def stored(name: str, storage: BaseStorage) -> Study:
    """The Optuna study of that name. Raises InputError where there is none."""
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        known = ", ".join(s.name for s in summaries(storage)) or "none"
        raise InputError(
            f"there is no study {name!r} in this storage; it holds: {known}",
            f"run it first: tune run --study {name}",
        ) from error


def study_record(study: Study) -> StudyRecord:
    """What a study's attributes and complete trials say."""
    specification: Mapping[str, Any] = study.user_attrs[SPECIFICATION]
    return StudyRecord.of(
        study.study_name,
        specification,
        study.user_attrs.get(ENVIRONMENT, {}),
        records(study),
        tuple(_failed(study, space_of(specification))),
        {
            name.removeprefix(_ENVIRONMENT_OF): environment
            for name, environment in study.user_attrs.items()
            if name.startswith(_ENVIRONMENT_OF)
        },
    )


def finished_study(name: str, storage: BaseStorage, results: Path) -> FinishedStudy:
    """A study with the samples of its trials. Raises InputError where there is no such study."""
    study = stored(name, storage)
    directory = samples_directory(study, results)

    def sample_file(file: str) -> bytes | None:
        path = directory / Path(file).name
        return path.read_bytes() if path.is_file() else None

    return FinishedStudy(study_record(study), sample_file)


def _failed(study: Study, space: SearchSpace) -> Iterator[FailedTrial]:
    """Failed trials by number, without those that failed before they had a configuration."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        asked = configuration_of(space, trial)
        if asked is None:
            continue
        found = trial.user_attrs.get(ATTRIBUTE)
        yield FailedTrial(
            trial.number,
            asked,
            trial.user_attrs.get(REASON, "its process was killed"),
            None if found is None else TrialRecord.from_json(found),
        )


def records(study: Study) -> list[TrialRecord]:
    """The records of complete trials, by number."""
    return [
        TrialRecord.from_json(cast("dict[str, Any]", trial.user_attrs[ATTRIBUTE]))
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ]
