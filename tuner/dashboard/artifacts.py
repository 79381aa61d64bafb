"""The artifacts of finished trials: made when they are opened, and kept nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from secrets import token_hex
from typing import BinaryIO, NoReturn

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage

from tuner.dashboard.latency import latency_png, words_png
from tuner.errors import InputError
from tuner.load.parquet import Recording
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.results.burst_latency import latency_of

_PREFIX = "artifacts:"
"""Of the attributes by which Optuna describes artifacts (`optuna.artifacts.upload_artifact`)."""

_LATENCY, _LOG = "0", "1"
_FILES = {
    _LATENCY: ("latency.png", "image/png"),
    _LOG: ("containers.log.txt", "text/plain; charset=utf-8"),
}


@dataclass(frozen=True)
class Artifacts:
    """Optuna's `ArtifactStore` over a storage and the recordings of one study; read only.

    `recording` reads the requests of a trial's burst, None where they are not there. `key` begins
    every identifier, so that no other page can guess one (the dashboard serves artifacts to any
    origin). Safe to use from several threads.
    """

    storage: BaseStorage
    recording: Callable[[TrialRecord], Recording | None]
    key: str = field(default_factory=lambda: token_hex(8))

    def described(self, trial_id: int, record: TrialRecord) -> dict[str, str]:
        """The system attributes that tell the dashboard which artifacts a finished trial has."""
        kinds = [_LATENCY] * (record.samples is not None) + [_LOG] * bool(record.log_tail)
        attributes = {}
        for kind in kinds:
            name, mimetype = _FILES[kind]
            identifier = f"{self.key}-{trial_id:x}-{kind}"
            described = {
                "artifact_id": identifier,
                "filename": name,
                "mimetype": mimetype,
                "encoding": None,
            }
            attributes[_PREFIX + identifier] = json.dumps(described)
        return attributes

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Raises ArtifactNotFound for an identifier that `described` did not give."""
        key, _, rest = artifact_id.partition("-")
        trial_id, _, kind = rest.partition("-")
        if key != self.key or kind not in _FILES:
            raise ArtifactNotFound(artifact_id)
        trial = self.storage.get_trial(int(trial_id, 16))
        record = TrialRecord.from_json(trial.user_attrs[ATTRIBUTE])
        return BytesIO(self._latency(record) if kind == _LATENCY else record.log_tail.encode())

    def write(self, artifact_id: str, content_body: BinaryIO) -> NoReturn:  # noqa: ARG002 -- Optuna's
        raise PermissionError("nothing can be added to a trial of tune")

    def remove(self, artifact_id: str) -> None:
        """There is nothing to remove; the dashboard asks for it when it deletes a study."""

    def _latency(self, record: TrialRecord) -> bytes:
        """A picture in any case: where there is no figure, it says why."""
        try:
            recording = self.recording(record)
        except InputError as error:
            return words_png(error.message)
        if recording is None:
            return words_png(f"The requests of trial {record.number} are not on this machine.")
        latency = latency_of(recording)
        if not latency.count:
            return words_png(f"No request of trial {record.number} succeeded in the window.")
        simulated = "" if record.backend == "docker" else f", {record.backend.upper()}"
        heading = f"Trial {record.number}: {latency.count:,} requests in the window{simulated}"
        return latency_png(latency, heading)
