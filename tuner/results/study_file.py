"""A finished study as one file: all that a report needs, without the database it came from.

A ZIP archive of `study.json` (specification, environment, trials) and the Parquet file of each
trial under `samples/`, as it was written. The same study gives the same bytes.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from tuner.errors import InputError
from tuner.files import writable, written_whole
from tuner.load.parquet import Recording, read_samples
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.problems import short_text
from tuner.spec.typed import WrongTypeError

# History of the format: 1 (first); 2 adds the environments of all runs, and what the study began
# with from another one. Format 1 is still read.
FORMAT = 2
READABLE = (1, 2)

SUFFIX = ".study.zip"

_DOCUMENT, _SAMPLES = "study.json", "samples/"
_WRITTEN = (1980, 1, 1, 0, 0, 0)
"""ZIP's own beginning of time: when a file was written is no part of a study."""

# What a broken or hostile archive says it holds may be of any size. A study of 2,000 trials has a
# document of 20 MB and a million values.
_MOST_VALUES = 2_500_000
_LARGEST_DOCUMENT, _LARGEST_SAMPLES = 2**26, 2**27
"""Bytes, decompressed."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)
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
        if held is None or trial.samples is None:
            return None
        return read_samples(BytesIO(held), _member(trial.samples))


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
    text = _member_of(path, _DOCUMENT, _LARGEST_DOCUMENT)
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise _unreadable(path, f"{_DOCUMENT} has more than {_MOST_VALUES} values")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _unreadable(path, f"{_DOCUMENT}: {error}") from error
    version = document.get("format", "none") if isinstance(document, dict) else "none"
    if not (isinstance(version, int) and version in READABLE):
        found = "none" if version == "none" else short_text(version)
        raise InputError(f"{path}: a study file of format {found}, expected {FORMAT}", _EXPECTED)
    names = _names(path)

    def sample_file(name: str) -> bytes | None:
        member = _member(name)
        return _member_of(path, member, _LARGEST_SAMPLES) if member in names else None

    return FinishedStudy(_record(path, document), sample_file)


def _names(path: Path) -> frozenset[str]:
    with _archive(path) as archive:
        return frozenset(archive.namelist())


def _member_of(path: Path, name: str, most_bytes: int) -> bytes:
    """One file of the archive. Raises InputError where it is too large, or the archive broken."""
    with _archive(path) as archive:
        listed = [i.filename for i in archive.infolist() if i.filename in {name, _DOCUMENT}]
        if len(listed) > len(set(listed)):
            raise _unreadable(path, f"{listed[-1]} is there twice")
        if archive.getinfo(name).file_size > most_bytes:
            raise _unreadable(path, f"{name} has more than {most_bytes} bytes")
        return archive.read(name)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except _BROKEN as error:
        raise _unreadable(path, str(error) or type(error).__name__) from error


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: not a readable study file: {reason}", _EXPECTED)


def _record(path: Path, document: Mapping[str, Any]) -> StudyRecord:
    try:
        return StudyRecord.from_json(document)
    except WrongTypeError as error:
        raise InputError(f"{path}: not a whole study: {error}", _EXPECTED) from error


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
