"""A finished study as one file: all that a report needs, without the database it came from.

A ZIP archive of `study.json` (specification, environment, trials) and the Parquet file of each
trial under `samples/`, as it was written. The same study gives the same bytes.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from tuner.errors import InputError
from tuner.files import writable, written_whole
from tuner.load.parquet import Recording, read_samples
from tuner.measure.record import StudyRecord, TrialRecord

# History of the format: 1 (first); 2 adds the environments of all runs, and what the study began
# with from another one. Format 1 is still read.
FORMAT = 2
READABLE = (1, 2)

SUFFIX = ".study.zip"

_DOCUMENT, _SAMPLES = "study.json", "samples/"
_WRITTEN = (1980, 1, 1, 0, 0, 0)
"""ZIP's own beginning of time: when a file was written is no part of a study."""

_LARGEST = 2**30
"""Bytes of one file in the archive. A broken or hostile one may say that it has any number."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)
"""What Python raises of an archive that is broken, encrypted or compressed in another way."""

_EXPECTED = "expected what `tune export --format study --output NAME.study.zip` writes"


@dataclass(frozen=True)
class FinishedStudy:
    """The finished trials of a study, and the bytes of a trial's Parquet file by its name.

    `sample_file` gives None for a file that is not there.
    """

    record: StudyRecord
    sample_file: Callable[[str], bytes | None]

    def recording(self, trial: TrialRecord) -> Recording | None:
        """All requests of the trial's burst; None where there are none.

        Raises InputError for a file that cannot be read.
        """
        held = None if trial.samples is None else self.sample_file(trial.samples)
        return None if held is None else read_samples(BytesIO(held))


def is_study_file(name: str) -> bool:
    """Whether what stands for a study is such a file, and no study's name."""
    return name.endswith(".zip")


def write_study(path: Path, study: FinishedStudy) -> None:
    """Write `study`; `path` has all of it or is untouched. Raises InputError where it cannot."""
    document = {"format": FORMAT, **study.record.to_json()}
    with writable(path), written_whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        text = json.dumps(document, allow_nan=False, separators=(",", ":"))
        archive.writestr(_entry(_DOCUMENT), text, zipfile.ZIP_DEFLATED)
        for name in dict.fromkeys(_sample_names(study.record)):
            # Compressed already.
            if (held := study.sample_file(name)) is not None:
                archive.writestr(_entry(_member(name)), held, zipfile.ZIP_STORED)


def read_study(path: Path) -> FinishedStudy:
    """The inverse of `write_study`.

    Raises InputError when there is no such file, or it is not of a format that this version reads.
    """
    try:
        document = json.loads(_member_of(path, _DOCUMENT))
        with zipfile.ZipFile(path) as archive:
            names = frozenset(archive.namelist())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable study file: {error}", _EXPECTED) from error
    version = document.get("format", "none") if isinstance(document, dict) else "none"
    if version not in READABLE:
        raise InputError(f"{path}: a study file of format {version}, expected {FORMAT}", _EXPECTED)

    def sample_file(name: str) -> bytes | None:
        return _member_of(path, _member(name)) if _member(name) in names else None

    return FinishedStudy(_record(path, document), sample_file)


def _member_of(path: Path, name: str) -> bytes:
    """One file of the archive. Raises InputError where the archive is broken."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > _LARGEST:
                raise InputError(
                    f"{path}: not a readable study file: {name} is too large", _EXPECTED
                )
            return archive.read(name)
    except (OSError, *_BROKEN) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: not a readable study file: {reason}", _EXPECTED) from error


def _record(path: Path, document: dict[str, Any]) -> StudyRecord:
    try:
        return StudyRecord.from_json(document)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a whole study: {error!r}", _EXPECTED) from error


def _member(name: str) -> str:
    """Where the samples are within the archive; on disk, the same name is below the results."""
    return _SAMPLES + PurePosixPath(name).name


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WRITTEN)
    entry.external_attr = 0o644 << 16
    return entry


def _sample_names(study: StudyRecord) -> Iterator[str]:
    kept = (f.record for f in study.failed if f.record is not None)
    for trial in (*study.trials, *kept):
        if trial.samples is not None:
            yield trial.samples
