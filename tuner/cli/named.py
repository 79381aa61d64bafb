"""What a verb's options stand for: a specification, a storage, a finished study, a file.

Heavy imports wait inside, as everywhere in this room.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.cli.options import BackendChoice

if TYPE_CHECKING:
    from tuner.measure.record import StudyRecord
    from tuner.results.study_file import FinishedStudy
    from tuner.spec.study import StudySpec


def specification(study: str) -> StudySpec:
    from tuner.spec.host import Host
    from tuner.spec.load import load_study

    return load_study(study, Host.this())


def by_hand(
    model: str | None,
    study: str | None,
    trial: int | None,
    settings: list[str],
    backend: BackendChoice,
    storage: str | None,
) -> StudySpec:
    from tuner.errors import InputError
    from tuner.spec.host import Host
    from tuner.spec.settings import study_of_model, study_of_settings

    if (model is None) == (study is None):
        raise InputError("expected --model or --study, one of them", "such as: --model mnist")
    if model is not None:
        if trial is not None:
            raise InputError("--trial goes with --study only", "name the study of the trial")
        return study_of_model(model, settings, Host.this())
    assert study is not None
    start = None
    if trial is not None:
        record = record_of(study, storage, backend)
        known = record.trial(trial)
        if known is None:
            raise InputError(
                f"study {record.name!r} has no finished trial {trial}", "see tune show"
            )
        start = known.configuration
    return study_of_settings(study, settings, Host.this(), start)


def storage_url(
    study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False
) -> str:
    from tuner.spec.load import results_directory
    from tuner.study.storage import default_url

    results = results_directory(specification(study))
    return storage or default_url(results, backend.value, grid=grid)


def record_of(
    study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False
) -> StudyRecord:
    return finished(study, storage, backend, grid=grid).record


def finished(
    study: str, storage: str | None, backend: BackendChoice, *, grid: bool = False
) -> FinishedStudy:
    """The study's trials, from its storage or from a study file."""
    from tuner.results.study_file import is_study_file, read_study

    if is_study_file(study):
        return read_study(Path(study))
    from tuner.spec.load import results_directory
    from tuner.study.storage import finished_study, open_storage

    spec = specification(study)
    url = storage_url(study, storage, backend, grid=grid)
    return finished_study(spec.name, open_storage(url, create=False), results_directory(spec))


def write_text(text: str, output: Path | None) -> None:
    """To standard output, or whole to a file: never half of it."""
    if output is None:
        sys.stdout.write(text)
        return
    from tuner.files import writable, written_whole

    with writable(f"--output {output}"), written_whole(output) as file:
        file.write(text.encode())
    print(f"wrote {output}", file=sys.stderr)
