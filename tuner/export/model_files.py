"""Finds the model that an exported file mounts, on this machine."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import InputError
from tuner.export.served import Served
from tuner.measure.record import StudyRecord
from tuner.serving.version_files import directory_checksum, highest_version_in
from tuner.spec.load import load_model


def model_versions(served: Served, given: Path | None = None) -> tuple[Path | None, list[str]]:
    """The directory of the model's numbered versions, and remarks about it.

    None where the image has the model inside. Otherwise it is `given`, by default that of the
    study's model on this machine. A remark says where no model is built there yet, or another one
    than was measured. Raises InputError where `given` has no version, or this machine lacks the
    model.
    """
    study, file = served.study, served.server.model_file
    if file is None:
        if given is not None:
            raise InputError(
                "the image of this study has the model inside", "leave out --model-path"
            )
        return None, []
    if given is None:
        versions = _versions_of(study.model)
    elif highest_version_in(given, file) is None:
        raise InputError(
            f"--model-path {given} has no version of a model: {given / '1' / file} is missing",
            "give the directory that has the numbered versions",
        )
    else:
        versions = given
    return versions.resolve(), _remarks(study, versions, file)


def _versions_of(model: str) -> Path:
    try:
        return load_model(model).versions
    except InputError as error:
        raise InputError(
            f"the model {model!r} is not on this machine: {error.message}",
            "give --model-path DIR: the directory with its numbered versions on the machine that"
            " will serve it",
        ) from error


def _remarks(study: StudyRecord, versions: Path, file: str) -> list[str]:
    highest = highest_version_in(versions, file)
    if highest is None:
        mend = f"tune models build {study.model}, or --model-path DIR"
        return [f"the model {study.model} is not built here: {versions} is empty ({mend})"]
    measured = study.environment.get("model_checksum")
    if measured and directory_checksum(highest) != measured:
        other = f"the model in {versions} is not the one that was measured"
        return [f"{other}: its checksum is not {measured}"]
    return []
