"""Where the files of studies, search spaces and models are.

A file below the working directory takes precedence over a shipped one of the same name. A study
that is named by its path brings its own directory: what it names is looked up there first.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tuner
from tuner.errors import InputError
from tuner.spec.problems import short_text

FileKind = Literal["study", "search space", "model"]

LONGEST_NAME = 100
"""Characters. A file name may have 255 bytes, and names of files and containers add to it."""

NAME_PATTERN = f"[a-z0-9][a-z0-9_-]{{0,{LONGEST_NAME - 1}}}"

_FILES: dict[FileKind, str] = {
    "study": "studies/*/study.yaml",
    "search space": "search_spaces/*.yaml",
    "model": "models/*/model.yaml",
}


def shipped() -> Path:
    """The directory that holds the shipped `studies`, `search_spaces` and `models`."""
    package = Path(tuner.__file__).resolve().parent
    installed = package / "shipped"
    # In a checkout they stand beside the package.
    return installed if installed.is_dir() else package.parent


def check_name(name: str, kind: FileKind) -> None:
    """Raise InputError where `name` is not a valid name for `kind`."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"{kind} {short_text(name)}: expected {name_expected(name)}")


def name_expected(instead: str) -> str:
    """What a name must be, where `instead` is none."""
    if len(instead) > LONGEST_NAME:
        return f"a name of at most {LONGEST_NAME} characters"
    return "a name of small letters, digits, - and _"


def path_of(kind: FileKind, name: str, base: Path) -> Path:
    """The path below `base` that the file of that name has; it need not exist."""
    check_name(name, kind)
    return base / _FILES[kind].replace("*", name)


def home_of(study: Path) -> Path:
    """The directory that holds the search spaces and models beside the study in this file.

    It has `studies/NAME/study.yaml` below it. A file of another name has them beside itself.
    """
    directory = real(study).parent
    return directory.parent.parent if directory.parent.name == "studies" else directory


def real(path: Path) -> Path:
    """Absolute, and without links. Unlike Path.resolve it takes links that go in a circle."""
    return Path(os.path.realpath(path))


def find_file(kind: FileKind, name: str, *roots: Path) -> Path:
    """The file of that name below the first of `roots` that has it, otherwise the shipped one.

    Raises InputError that suggests the nearest name and lists all.
    """
    for base in (*roots, shipped()):
        if (path := path_of(kind, name, base)).is_file():
            return path
    names = existing(kind, *roots)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    expected = path_of(kind, name, roots[0])
    raise InputError(
        f"there is no {kind} {name!r}: {expected} does not exist, and no {kind} of this name is"
        " shipped",
        f"{hint}There are: {', '.join(names) or 'none'}.",
    )


def is_found(path: Path, kind: FileKind, name: str, *roots: Path) -> bool:
    """Whether a lookup of that name finds the file at `path`."""
    try:
        return real(find_file(kind, name, *roots)) == real(path)
    except InputError:
        return False


def existing(kind: FileKind, *roots: Path) -> list[str]:
    """All names below `roots` and among the shipped files, sorted."""
    return sorted({name for base in (*roots, shipped()) for name in _names(kind, base)})


def _names(kind: FileKind, base: Path) -> Iterator[str]:
    for path in base.glob(_FILES[kind]):
        name = path.stem if kind == "search space" else path.parent.name
        if re.fullmatch(NAME_PATTERN, name):
            yield name
