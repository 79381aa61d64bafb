"""A study that was run, and what a dashboard is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optuna.storages import BaseStorage
from optuna.study import Study

from tests.study.small import EXPECTED, run, specification, url_of
from tests.study.talking import talking
from tuner.backends.backend import Backend
from tuner.dashboard.artifacts import Artifacts
from tuner.dashboard.live_note import LiveNote
from tuner.dashboard.storage_view import StudyView
from tuner.load.parquet import Recording, read_samples
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.storage import open_storage, study_id, study_record

LOG = "replica 0:\nthe model is ready"


@dataclass(frozen=True)
class Shown:
    """A study that was run, and what a dashboard is shown of it."""

    spec: StudySpec
    study: Study
    storage: BaseStorage
    number: int
    artifacts: Artifacts
    view: StudyView

    @property
    def record(self) -> StudyRecord:
        return study_record(self.study)


def look(
    trials: int,
    host: Callable[[StudySpec], Backend] = lambda spec: talking(spec, LOG),
    *changes: tuple[str, str],
) -> Shown:
    """A study of its own in the working directory, with `changes` of its text, run on `host`."""
    spec = specification(*changes, EXPECTED)
    study = run(spec, more=trials, backend=host(spec))
    storage = open_storage(url_of(spec), create=False)
    number = study_id(spec.name, storage)
    results = results_directory(spec)

    def recording(trial: TrialRecord) -> Recording | None:
        path = results / (trial.samples or "")
        return read_samples(path) if path.is_file() else None

    artifacts = Artifacts(storage, recording)
    view = StudyView(storage, number, LiveNote(storage, spec.name), artifacts)
    return Shown(spec, study, storage, number, artifacts, view)
