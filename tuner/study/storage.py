"""The Optuna storage under a study: open it, lock it, read a study back from it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tuner.backends import backend_names
from tuner.errors import InputError
from tuner.measure.record import ATTRIBUTE, FailedTrial, StudyRecord, TrialRecord
from tuner.results.study_file import FinishedStudy
from tuner.search.distributions import configuration_of
from tuner.spec.fingerprint import space_of, to_dict
from tuner.spec.space import SearchSpace
from tuner.spec.study import StudySpec

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
GIVEN_UP = "given up"  # a point of the grid that is not tried again

_PATIENCE = 60.0
_TABLES_ATTEMPTS, _TABLES_SECONDS = 20, 0.1
"""How many seconds a process waits for another one that writes to the same SQLite file."""

_ADVISORY = {
    "postgresql": (
        "SELECT pg_advisory_lock(hashtext(:name))",
        "SELECT pg_advisory_unlock(hashtext(:name))",
    ),
    "mysql": ("SELECT GET_LOCK(sha1(:name), -1)", "SELECT RELEASE_LOCK(sha1(:name))"),
}
"""The statements by which a database locks and unlocks; the lock ends with the session."""


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
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no database file", "name a file by --storage")
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
        with file_lock(Path(f"{path}.lock")) if create else nullcontext():
            return optuna.storages.get_storage(_database(url, patient))
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


def _database(url: str, engine: Mapping[str, Any]) -> RDBStorage:
    """The storage in a SQLite file. Who only reads takes no lock, and may come while another
    process makes the tables: then they are there a moment later.
    """
    for _ in range(_TABLES_ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs=dict(engine))
        except OperationalError as error:
            if "already exists" not in str(error):
                raise
            time.sleep(_TABLES_SECONDS)
    return RDBStorage(url, engine_kwargs=dict(engine))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns what a database raises into an InputError.

    It may be broken, another program's, full, or locked for too long.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(
            f"the study's storage cannot be used: {reason}",
            "see that it is whole, Optuna's, and may be written, or name another one by --storage",
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


@contextmanager
def study_lock(study: Study) -> Iterator[None]:
    """Inside, no other process looks at the study's trials to decide what comes next.

    Several processes may run one study; only one of them asks at once.
    """
    with lock_of(study._storage, study.study_name):  # noqa: SLF001 -- Optuna has no public way to it
        yield


@contextmanager
def lock_of(storage: BaseStorage, name: str) -> Iterator[None]:
    """Inside, no other process is inside for the study `name` of this storage.

    The lock is that of a file beside a SQLite database, else one of the database server, so a
    process that is killed holds none. A storage of another kind belongs to one process.
    """
    engine = _engine(storage)
    if engine is None:
        yield
    elif engine.dialect.name in _ADVISORY:
        take, give = _ADVISORY[engine.dialect.name]
        with engine.connect() as connection:
            named = {"name": f"tune/{name}"}
            connection.execute(text(take), named)
            try:
                yield
            finally:
                connection.execute(text(give), named)
    elif engine.url.database:
        with file_lock(Path(f"{engine.url.database}.lock")):
            yield
    else:
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Inside, no other process or thread is inside for the same file, which stays there."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _engine(storage: BaseStorage) -> Engine | None:
    inner = getattr(storage, "_backend", storage)  # what a cache is for
    return inner.engine if isinstance(inner, RDBStorage) else None


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
            if Path(url.removeprefix("sqlite:///")).exists():
                held += summaries(open_storage(url, create=False))
        by_name.append((name, held))
    return by_name


def samples_directory(study: Study, results: Path) -> Path:
    """Where the Parquet files of a study's trials are, apart from those of another storage."""
    return results / "samples" / str(study.user_attrs[SAMPLES])


@storage_errors()
def finished_trials(name: str, url: str) -> list[TrialRecord]:
    """The records of a study; none where its SQLite file or the study is not there yet."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return []
    storage = open_storage(url, create=False)
    if name not in optuna.get_all_study_names(storage):
        return []
    with _whole(name):
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


def study_record(study: Study) -> StudyRecord:
    """What a study's attributes and complete trials say.

    Raises InputError for a study that `tune` did not make, or whose attributes are broken.
    """
    with _whole(study.study_name):
        return _study_record(study)


@contextmanager
def _whole(name: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"study {name!r} in this storage is not one of tune's, or is broken: {error!r}",
            "name another --storage",
        ) from error


def _study_record(study: Study) -> StudyRecord:
    specification: Mapping[str, Any] = study.user_attrs[SPECIFICATION]
    return StudyRecord.of(
        study.study_name,
        specification,
        study.user_attrs.get(ENVIRONMENT, {}),
        records(study),
        tuple(_failed(study, space_of(specification))),
        {
            name.removeprefix(ENVIRONMENT_OF): environment
            for name, environment in study.user_attrs.items()
            if name.startswith(ENVIRONMENT_OF)
        },
        study.user_attrs.get(WARM),
    )


def record_so_far(spec: StudySpec, done: Sequence[TrialRecord]) -> StudyRecord:
    """The study of `spec` with these trials only, while it runs; without an environment."""
    return StudyRecord.of(spec.name, to_dict(spec), {}, done)


@storage_errors()
def finished_study(name: str, storage: BaseStorage, results: Path) -> FinishedStudy:
    """A study with the samples of its trials. Raises InputError where there is no such study."""
    study = optuna_study(name, storage)
    record = study_record(study)
    with _whole(name):
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
    """The records of complete trials, by number."""
    return [
        TrialRecord.from_json(cast("dict[str, Any]", trial.user_attrs[ATTRIBUTE]))
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ]
