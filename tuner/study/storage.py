"""The Optuna storage under a study: open it, read a study back from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError

from tuner.backends import backend_names
from tuner.errors import InputError, SetupError, TuneError
from tuner.measure.record import ATTRIBUTE, FailedTrial, StudyRecord, TrialRecord, checked_trials
from tuner.results.study_file import FinishedStudy
from tuner.search.distributions import configuration_of
from tuner.spec.fingerprint import space_of, to_dict
from tuner.spec.space import SearchSpace
from tuner.spec.study import StudySpec
from tuner.study.database_server import ServerStorage
from tuner.study.faults import reason_of, refused_if_broken, storage_errors, storage_fault
from tuner.study.locks import file_lock, lock_file
from tuner.study.sqlite_file import PREFIX, sqlite_storage
from tuner.study.storage_url import check_password, without_password, without_secrets_of

# Attributes of a study.
SPECIFICATION = "specification"  # what study.yaml asked for, whole
COMPARABLE = "comparable"  # the part of it that must stay the same while the study grows
BACKEND = "backend"  # the name of who measures
ENVIRONMENT = "environment"  # that of the last run: host, image, model, calibration
ENVIRONMENT_OF = "environment "  # those of all runs; the key of each follows
SAMPLES = "samples"  # the directory of the trials' samples
SEEDED = "seeded"  # how many of the initial design were queued; True for all of them
WARM = "warm start"  # what the study began with from another one
GAINS = "expected gains"  # the last looks at convergence: number of trials, expected gain

# Attributes of a trial. Its record is under `tuner.measure.record.ATTRIBUTE`; what samplers read
# and write is in `tuner.search.study_sampler`.
OUTCOME = "outcome"  # measured, invalid, or why the configuration cannot serve
VERDICT = "verdict"  # whether the measurement can be trusted
REASON = "reason"  # why the trial failed
BASELINE = "baseline again"  # measured to see whether the host has changed
REPEAT = "repeat of"  # the trial that a user asked to measure again
CONFIRMS = "confirms"  # the trial whose place on a front is checked
AGAIN = "again"  # the failed trial that this one replaces
PASS = "pass"  # noqa: S105 -- no password: the pass of the full grid, from 0
BROKE = "broke"  # a fault of the world ended it
LOST = "lost"  # its worker was not heard from, so another one measures it again
GIVEN_UP = "given up"  # a point of the grid that is not tried again


_EXPECTED = (
    "expected an Optuna storage URL such as sqlite:///study.db or postgresql://user@host/database"
)


def default_url(results: Path, backend: str, *, grid: bool = False) -> str:
    """The SQLite file of a study: `results/study.db`, or one of its own for simulated trials.

    A full grid has files of its own: `grid.db`, `simulated-grid.db`.
    """
    if grid:
        name = "grid.db" if backend == "docker" else f"{backend}-grid.db"
    else:
        name = "study.db" if backend == "docker" else f"{backend}.db"
    return f"{PREFIX}{results / name}"


def open_storage(url: str, *, create: bool) -> BaseStorage:
    """The storage behind an Optuna storage URL.

    Without `create`, a SQLite file that is not there is an InputError instead of an empty
    database. Raises InputError when the URL is wrong or names another database than SQLite and
    PostgreSQL, SetupError where the database cannot be reached, read or, with `create`, written.
    """
    check_password(url)
    path = sqlite_path(url)
    if path is None:
        _require_known(url)
    if path is not None:
        _require_place(path, create=create)
    try:
        if path is None:
            server = url.startswith("postgresql")
            return optuna.storages.get_storage(ServerStorage(url) if server else url)
        # A worker waits for the others rather than break, and one of them makes the tables.
        with file_lock(lock_file(path)) if create else nullcontext():
            return optuna.storages.get_storage(sqlite_storage(path, create=create))
    except TuneError:
        raise
    except ImportError as error:
        missing = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        raise InputError(
            f"storage {without_password(url)} needs the Python module {missing.name}",
            "pip install 'tune-serving[postgresql]'",
        ) from error
    except (StorageInternalError, DBAPIError) as error:
        raise storage_fault(error) from error
    except RuntimeError as error:
        raise _other_version(url, error) from error
    except Exception as error:  # of SQLAlchemy and of drivers, which have no common base
        raise InputError(
            f"storage {without_password(url)} cannot be opened:"
            f" {without_secrets_of(url, reason_of(error))}",
            _EXPECTED,
        ) from error


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite database; None for another database."""
    return Path(url.removeprefix(PREFIX)) if url.startswith(PREFIX) else None


def _require_known(url: str) -> None:
    """Raises InputError for what workers cannot share, and for databases that were never tried."""
    scheme = url.partition("://")[0].partition("+")[0]
    if "://" in url and scheme not in {"postgresql", "sqlite"}:
        raise InputError(
            f"storage {without_password(url)}: studies are in SQLite files or in PostgreSQL;"
            f" {scheme!r} is neither",
            _EXPECTED,
        )


def _require_place(path: Path, *, create: bool) -> None:
    """Raises InputError where no file of a study is or, with `create`, can be; makes its directory.

    Raises SetupError where the directory cannot be made.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no database file", "name a file by --storage")
    if not create:
        if not path.exists():
            raise InputError(
                f"there is no study database at {path}",
                "run the study first (`tune run --study NAME`), or name its storage by --storage",
            )
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"the directory {path.parent} cannot be made: {error.strerror}",
            "check the permissions of the directories above it, and the space on their disk; or"
            " name another --storage",
        ) from error


def _other_version(url: str, error: RuntimeError) -> SetupError:
    """Optuna says so where the tables are those of an older or a newer version."""
    shown = without_password(url)
    if "storage upgrade" in str(error):
        return SetupError(
            f"storage {shown} was made by an older version of Optuna",
            f"make a copy of it, then: optuna storage upgrade --storage '{shown}'",
        )
    return SetupError(
        f"storage {shown} was made by a newer version of Optuna than {optuna.__version__}",
        "pip install --upgrade optuna, or name another --storage",
    )


@dataclass(frozen=True)
class StudySummary:
    """A line of `tune list`."""

    name: str
    backend: str
    complete: int
    running: int


@storage_errors()
def summaries(storage: BaseStorage) -> list[StudySummary]:
    """The studies of `tune` in a storage, by name."""
    studies = []
    for name in sorted(optuna.get_all_study_names(storage)):
        study = optuna.load_study(study_name=name, storage=storage)
        if SPECIFICATION not in study.user_attrs:
            continue
        states = [t.state for t in study.get_trials(deepcopy=False)]
        studies.append(
            StudySummary(
                name,
                str(study.user_attrs.get(BACKEND)),
                states.count(TrialState.COMPLETE),
                states.count(TrialState.RUNNING),
            )
        )
    return studies


def found_studies(
    names: Sequence[str],
    results: Callable[[str], Path],
    urls: Sequence[str] | None,
) -> list[tuple[str, list[StudySummary]]]:
    """Per study name, what its default databases hold; with `urls`, what those hold instead."""
    if urls is not None:
        held = [s for url in urls for s in summaries(open_storage(url, create=False))]
        return [(s.name, [s]) for s in held]
    by_name = []
    for name in names:
        held = []
        for backend in backend_names():
            url = default_url(results(name), backend)
            if (path := sqlite_path(url)) and path.exists():
                held += summaries(open_storage(url, create=False))
        by_name.append((name, held))
    return by_name


def samples_directory(study: Study, results: Path) -> Path:
    """Where the Parquet files of a study's trials are, apart from those of another storage.

    Always below `results`, whatever the storage says.
    """
    return results / "samples" / Path(str(study.user_attrs[SAMPLES])).name


@storage_errors()
def finished_trials(name: str, url: str) -> list[TrialRecord]:
    """The records of a study; none where its SQLite file or the study is not there yet."""
    if (path := sqlite_path(url)) and not path.exists():
        return []
    storage = open_storage(url, create=False)
    if name not in optuna.get_all_study_names(storage):
        return []
    with whole_study(name):
        return records(optuna.load_study(study_name=name, storage=storage))


def study_id(name: str, storage: BaseStorage) -> int:
    """The number by which optuna-dashboard addresses a study. Raises InputError."""
    stored_record(name, storage)
    return storage.get_study_id_from_name(name)


@storage_errors()
def stored_record(name: str, storage: BaseStorage) -> StudyRecord:
    """The finished trials of a study. Raises InputError where there is no such study."""
    return study_record(optuna_study(name, storage))


@storage_errors()
def optuna_study(name: str, storage: BaseStorage) -> Study:
    """The Optuna study of that name. Raises InputError where there is none."""
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        names = ", ".join(s.name for s in summaries(storage)) or "none"
        raise InputError(
            f"there is no study {name!r} in this storage; it holds: {names}",
            f"run it first: tune run --study {name}",
        ) from error


def study_record(study: Study, complete: Sequence[TrialRecord] | None = None) -> StudyRecord:
    """What a study's attributes and trials say; `complete` are the records of its complete trials
    where they were read already.

    Raises InputError for a study that `tune` did not make, or whose attributes are broken.
    """
    with whole_study(study.study_name):
        return _study_record(study, complete)


def whole_study(name: str) -> AbstractContextManager[None]:
    """Turns what is raised of a study's attributes that have wrong types into an InputError."""
    return refused_if_broken(
        f"study {name!r} in this storage is not one of tune's, or is broken",
        "name another --storage",
    )


def _study_record(study: Study, complete: Sequence[TrialRecord] | None) -> StudyRecord:
    attributes = study.user_attrs
    specification: Mapping[str, Any] = attributes[SPECIFICATION]
    if complete is None:
        complete = checked_trials(specification, records(study))
    return StudyRecord.of(
        study.study_name,
        specification,
        attributes.get(ENVIRONMENT, {}),
        complete,
        tuple(_failed(study, space_of(specification))),
        {
            name.removeprefix(ENVIRONMENT_OF): environment
            for name, environment in attributes.items()
            if name.startswith(ENVIRONMENT_OF)
        },
        attributes.get(WARM),
    )


def record_so_far(spec: StudySpec, done: Sequence[TrialRecord], stated_on: str = "") -> StudyRecord:
    """The study of `spec` with these trials only, while it runs; without an environment."""
    return StudyRecord.of(spec.name, to_dict(spec), {}, done, stated_on=stated_on)


@storage_errors()
def finished_study(name: str, storage: BaseStorage, results: Path) -> FinishedStudy:
    """A study with the samples of its trials. Raises InputError where there is no such study."""
    study = optuna_study(name, storage)
    record = study_record(study)
    with whole_study(name):
        directory = samples_directory(study, results)

    def sample_file(file: str) -> bytes | None:
        path = directory / Path(file).name
        return path.read_bytes() if path.is_file() else None

    return FinishedStudy(record, sample_file)


def _failed(study: Study, space: SearchSpace) -> Iterator[FailedTrial]:
    """Failed trials by number, without those that failed before they had a configuration."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        configuration = configuration_of(space, trial)
        if configuration is None:
            continue
        document = trial.user_attrs.get(ATTRIBUTE)
        yield FailedTrial(
            trial.number,
            configuration,
            trial.user_attrs.get(REASON, "its process was killed"),
            None if document is None else TrialRecord.from_json(document),
        )


def records(study: Study) -> list[TrialRecord]:
    """The records of complete trials, by number. Raises InputError where one is broken."""
    with whole_study(study.study_name):
        return [
            TrialRecord.from_json(cast("dict[str, Any]", trial.user_attrs[ATTRIBUTE]))
            for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        ]
