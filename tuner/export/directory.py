"""Writes an export that is a directory, and knows one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tuner.errors import InputError
from tuner.export import helm, kustomize
from tuner.export.dask_workers import DASK_FILES, MARK
from tuner.export.kubernetes import FILES
from tuner.export.provenance import PREFIX
from tuner.files import directory_written_whole, writable

_ENTRIES = (helm.ENTRY, kustomize.ENTRY)
_WRITTEN = {
    *_ENTRIES,
    *DASK_FILES,
    helm.VALUES,
    f"{kustomize.BASE}/{kustomize.ENTRY}",
    *(f"{folder}/{name}" for folder in (helm.TEMPLATES, kustomize.BASE) for name in FILES),
}
"""Every path that an export may have written."""

_SHOWN = 5


def entry_of(directory: Path) -> Path | None:
    """The file of an exported directory that says where it comes from; None in any other one."""
    return _with(directory, _ENTRIES, PREFIX)


def _with(directory: Path, names: Sequence[str], mark: str) -> Path | None:
    """The first file of these names that says `mark`."""
    for name in names:
        entry = directory / name
        try:
            if mark in entry.read_text(encoding="utf-8"):
                return entry
        except (OSError, UnicodeDecodeError):
            continue
    return None


def write_exported(path: Path, files: Mapping[str, str]) -> None:
    """Make the directory `path` of `files`, texts by their paths in it: all of them or none.

    An earlier export is replaced. Raises InputError where `path` is or has anything else, and where
    it cannot be written.
    """
    _refuse_foreign(path)
    with writable(path), directory_written_whole(path) as directory:
        for name, text in files.items():
            file = directory / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")


def _refuse_foreign(path: Path) -> None:
    mend = "choose a directory that does not exist yet"
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path} is a file, and this format is a directory", mend)
    if Path.cwd().is_relative_to(path.resolve()):
        raise InputError(f"{path} is or holds the working directory, and would be replaced", mend)
    inside = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    ours = entry_of(path) or _with(path, DASK_FILES, MARK)
    if inside and ours is None:
        raise InputError(f"{path} has files that `tune export` did not write", mend)
    if foreign := sorted(inside - _WRITTEN):
        listed = ", ".join(foreign[:_SHOWN]) + (", ..." if foreign[_SHOWN:] else "")
        raise InputError(
            f"{path} has files that this export would remove: {listed}",
            f"move them away, or {mend}",
        )
