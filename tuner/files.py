"""Writes files and directories as a whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from tuner.errors import InputError

_MODE = 0o644

_TEMPORARY, _RANDOM = ".tune.", "[a-z0-9_]{8}"
"""How the names of temporary files begin and, as `mkstemp` makes them, end."""

_OLD = ".old"
"""Ends the name of a directory that is about to be replaced."""


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file whose content is that of `path` when the block ends. If the block raises, `path` stays
    as it is.

    A regular file is replaced, keeping its permissions; a link to one still leads there. A pipe, a
    terminal or another device stays what it is and receives the content. Raises OSError where the
    file cannot be written.
    """
    before = _status(path)
    if before is None or stat.S_ISREG(before.st_mode):
        mode = stat.S_IMODE(before.st_mode) if before else _MODE
        with _replacing(Path(os.path.realpath(path)), mode) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        with path.open("wb") as receiver:
            shutil.copyfileobj(file, receiver)


def _status(path: Path) -> os.stat_result | None:
    """That of the file itself, which a link leads to; None where there is none."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


@contextmanager
def _replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    with _temporary_beside(path) as (file, temporary):
        try:
            yield file
            file.flush()
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise


@contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file next to `path`, locked while it is open: the kernel then knows who lives."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                yield file, Path(name)
                return
            # Taken for abandoned in the moment before it was locked.


def remove_abandoned(directory: Path, pattern: str = "") -> list[Path]:
    """Remove the temporary files of processes that were killed, and return their paths.

    Those that a live process writes stay. `pattern` is a regular expression of further names that
    only temporary files have.
    """
    names = re.compile(rf"{re.escape(_TEMPORARY)}{_RANDOM}" + (f"|{pattern}" if pattern else ""))
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return [path for path in found if names.fullmatch(path.name) and _removed(path)]


def _removed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False  # somebody has it, or it is gone
    return True


@contextmanager
def directory_written_whole(path: Path) -> Iterator[Path]:
    """A new directory that takes the place of `path` when the block ends.

    What was at `path`, a directory or nothing, is gone then. If the block raises, it stays as it
    is; if the process is killed, the next one that writes `path` puts it back and removes what is
    left. Raises OSError where the directory cannot be written.
    """
    path = path.resolve()
    _finish_killed(path)
    with _directory_beside(path) as new:
        yield new
        new.chmod(0o755)
        _take_place(new, path)


def _take_place(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = _set_aside(new)
    try:
        path.rename(old)
        new.rename(path)
    except BaseException:
        if not path.exists():
            old.rename(path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _directory_beside(path: Path) -> Iterator[Path]:
    """A new empty directory next to `path`, from where a rename moves no data; locked, as files
    are, until it is gone.
    """
    while True:
        new = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{path.name}.", dir=path.parent))
        with ExitStack() as held:
            descriptor = _locked(new)
            if descriptor is None:
                continue  # taken for abandoned in the moment before it was locked
            held.callback(os.close, descriptor)
            try:
                yield new
            finally:
                shutil.rmtree(new, ignore_errors=True)
            return


def _finish_killed(path: Path) -> None:
    """Put back what a killed process had set aside for a new `path`, and remove what it wrote."""
    names = re.compile(rf"{re.escape(f'{_TEMPORARY}{path.name}.')}{_RANDOM}")
    found = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    for new in {_set_aside(p, back=True) for p in found}:
        if not names.fullmatch(new.name):
            continue
        old = _set_aside(new)
        descriptor = _locked(new)
        if new.exists() and descriptor is None:
            continue  # a live process writes it
        try:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(new, ignore_errors=True)
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _set_aside(new: Path, *, back: bool = False) -> Path:
    """Where what `new` replaces is for a moment; `back` from there to `new`."""
    return new.with_name(new.name.removesuffix(_OLD)) if back else new.with_name(new.name + _OLD)


def _locked(directory: Path) -> int | None:
    """An open and locked descriptor of a directory; None where it is gone or another has it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(descriptor), directory.stat())
    except OSError:
        same = False
    if same:
        return descriptor
    os.close(descriptor)
    return None


def require_writable(directory: Path) -> None:
    """Raise InputError where no file can be made in `directory`.

    Where it is not there yet, that is judged by the directory in which it would be made.
    """
    place = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written: {error.strerror}",
            "make it writable for you, free space there, or work in another directory",
        ) from error


def write_new(texts: Mapping[Path, str]) -> None:
    """Write files that are not there yet, and the directories that they need: all or none.

    Raises InputError where one of them cannot be written.
    """
    with ExitStack() as undo:
        for path, text in texts.items():
            with writable(path):
                for directory in reversed([p for p in path.parents if not p.exists()]):
                    directory.mkdir()
                    undo.callback(directory.rmdir)
                with path.open("x", encoding="utf-8") as file:
                    undo.callback(path.unlink)
                    file.write(text)
        undo.pop_all()


@contextmanager
def writable(called: object) -> Iterator[None]:
    """Turns an OSError of the block, which writes the file `called`, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{called} cannot be written: {error.strerror}",
            "choose a file in a directory that exists and that you may write to",
        ) from error


def content_checksum(path: Path) -> str:
    """Hexadecimal SHA-256 over a file's content; of a directory, over every file's path within it
    and its content.

    Paths are sorted, and neither the location nor time stamps matter. Raises OSError.
    """
    digest = hashlib.sha256()
    inside = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    for name, file_path in sorted((p.relative_to(path).as_posix(), p) for p in inside):
        with file_path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()
