"""How a study starts: created or resumed in a storage, and warm-started from another study."""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import Study

from tuner.errors import InputError
from tuner.measure.record import StudyRecord
from tuner.model.study_model import model_of
from tuner.model.warm import Warm, warm_from
from tuner.spec.fingerprint import comparable, in_todays_words, to_dict, without_judges
from tuner.spec.study import StudySpec
from tuner.study.database_server import through_restarts
from tuner.study.faults import storage_errors
from tuner.study.locks import lock_of
from tuner.study.storage import (
    BACKEND,
    COMPARABLE,
    ENVIRONMENT,
    ENVIRONMENT_OF,
    GAINS,
    SAMPLES,
    SEEDED,
    SPECIFICATION,
    WARM,
    open_storage,
    stored_record,
    whole_study,
)
from tuner.study.storage_url import without_password


@storage_errors()
def start_or_resume(spec: StudySpec, storage: BaseStorage, backend: str) -> Study:
    """The Optuna study of `spec`, created where it is not there yet.

    Raises InputError where the study there was run by another backend, or with a specification
    whose trials cannot be compared with those of this one. The message names the keys that differ.
    """

    def start() -> Study:
        with lock_of(storage, spec.name), whole_study(spec.name):
            return _start_or_resume(spec, storage, backend)

    return through_restarts(start)


def _start_or_resume(spec: StudySpec, storage: BaseStorage, backend: str) -> Study:
    study = optuna.create_study(
        study_name=spec.name,
        storage=storage,
        directions=[o.direction for o in spec.objectives],
        load_if_exists=True,
    )
    refuse_another(spec, study, backend)
    _require_types(study.user_attrs)
    if SAMPLES not in study.user_attrs:
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


def refuse_another(spec: StudySpec, study: Study, backend: str) -> None:
    """Raise InputError where `study` is not `spec` run by `backend`, but another one of its name.

    The message names the keys that differ.
    """
    stored = study.user_attrs
    # A start that was killed leaves a study without attributes, but never trials in it.
    if SPECIFICATION not in stored and study.get_trials(deepcopy=False):
        raise InputError(
            f"study {spec.name!r} in this storage is not one of tune's",
            "name another --storage, or the study anew",
        )
    if COMPARABLE in stored:
        if stored[BACKEND] != backend:
            raise InputError(
                f"study {spec.name!r} in this storage was made by backend {stored[BACKEND]!r}",
                f"go on with --backend {stored[BACKEND]}, or give another --storage",
            )
        # Studies of earlier versions kept more than is compared now.
        before = without_judges(in_todays_words(stored[COMPARABLE]))
        changed = _differences(before, json.loads(json.dumps(comparable(spec))))
        if changed:
            raise InputError(
                f"{spec.path}: study {spec.name!r} was started with other settings, so its trials"
                " cannot be compared with new ones: " + "; ".join(changed[:5]),
                "undo the change, or start afresh: name the study anew, give another --storage,"
                " or move its results away",
            )


def _require_types(stored: Mapping[str, Any]) -> None:
    """Raises TypeError where an attribute that a run goes on with is not what was written."""
    if not isinstance(stored.get(SEEDED, 0), int):
        raise TypeError(f"attribute {SEEDED!r} is {stored[SEEDED]!r}, expected an integer")
    for number, gain in stored.get(GAINS, ()):
        if not (isinstance(number, int) and isinstance(gain, float | int)):
            raise TypeError(f"attribute {GAINS!r} has {[number, gain]!r}, expected two numbers")
    if stored.get(WARM) is not None:
        Warm.from_json(stored[WARM])


def keep_environment(study: Study, environment: Mapping[str, Any]) -> str:
    """Store the environment of a run that begins, and return its key.

    The records of trials name the key instead of holding a copy each. Equal environments share one.
    """
    text = json.dumps(environment, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    for name in (ENVIRONMENT_OF + key, ENVIRONMENT):
        through_restarts(partial(study.set_user_attr, name, environment))
    return key


def warm_start(study: Study, source: str, url_of: Callable[[str], str]) -> None:
    """Store in `study` what the model of the study `source` has learned.

    `source` is the name of a study, whose storage is `url_of(name)`, or `URL#NAME`. A study that
    was warm-started from it before keeps what it has. Raises InputError where `source` cannot be
    read or has too few trials, and where `study` was warm-started from another one.
    """
    before, shown = study.user_attrs.get(WARM), _shown(source)
    if before is not None:
        if before["from"] != shown:
            raise InputError(
                f"study {study.study_name!r} was begun with what {before['from']!r} knew",
                f"leave --warm-start {shown} out, or give another --storage",
            )
        return
    surrogate = model_of(_read(source, url_of))
    if surrogate is None:
        raise InputError(
            f"--warm-start {shown}: too few configurations of it could be measured",
            "run more of its trials first, or leave --warm-start out",
        )
    study.set_user_attr(WARM, {"from": shown, **warm_from(surrogate).to_json()})


def warm_of(study: Study) -> Warm | None:
    """What `warm_start` stored; None where it was not called."""
    document: dict[str, Any] | None = study.user_attrs.get(WARM)
    if document is None:
        return None
    return Warm.from_json(document)


def _differences(old: Any, new: Any, path: str = "") -> list[str]:  # noqa: ANN401 -- any JSON
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path} was {old!r}, is {new!r}"]


def _shown(source: str) -> str:
    """A source as it is stored and said: its storage without a password."""
    url, separator, name = source.rpartition("#")
    return f"{without_password(url)}{separator}{name}" if separator else name


def _read(source: str, url_of: Callable[[str], str]) -> StudyRecord:
    url, separator, name = source.rpartition("#")
    try:
        return stored_record(name, open_storage(url if separator else url_of(name), create=False))
    except InputError as error:
        raise InputError(f"--warm-start {_shown(source)}: {error.message}", error.mend) from error
