"""What a study begins with from another one, of another model or host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from optuna.study import Study

from tuner.errors import InputError
from tuner.measure.record import StudyRecord
from tuner.model.warm import Warm, warm_from
from tuner.results.findings import surrogate_of
from tuner.study.storage import open_storage, read_study

WARM = "warm start"
"""Attribute of a study: the other one's name, and what was taken from it."""


def warm_start(study: Study, source: str, url_of: Callable[[str], str]) -> None:
    """Note in `study` what the study `source` knows; a resumed one keeps what it has.

    `source` is the name of a study, whose storage is `url_of(name)`, or `URL#NAME`. Raises
    InputError where it cannot be read or has too little to tell, and where `study` was warmed by
    another one.
    """
    known = study.user_attrs.get(WARM)
    if known is not None:
        if known["from"] != source:
            raise InputError(
                f"study {study.study_name!r} was begun with what {known['from']!r} knew",
                f"leave --warm-start {source} out, or give another --storage",
            )
        return
    found = surrogate_of(_read(source, url_of))
    if found is None:
        raise InputError(
            f"--warm-start {source}: too few configurations of it could be measured",
            "run more of its trials first, or leave --warm-start out",
        )
    study.set_user_attr(WARM, {"from": source, **warm_from(found).to_json()})


def warm_of(study: Study) -> Warm | None:
    """What `warm_start` noted."""
    document: dict[str, Any] | None = study.user_attrs.get(WARM)
    if document is None:
        return None
    names = {field.name for field in dataclasses.fields(Warm)}
    return Warm.from_json({key: value for key, value in document.items() if key in names})


def _read(source: str, url_of: Callable[[str], str]) -> StudyRecord:
    url, separator, name = source.rpartition("#")
    try:
        return read_study(name, open_storage(url if separator else url_of(name), create=False))
    except InputError as error:
        raise InputError(f"--warm-start {source}: {error.message}", error.mend) from error
