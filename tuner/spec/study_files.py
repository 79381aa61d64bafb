"""Where the files of studies, search spaces and models are.

A file below the working directory takes precedence over a shipped one of the same name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tuner
from tuner.errors import InputError

FileKind = Literal["study", "search space", "model"]

NAME_PATTERN = "[a-z0-9][a-z0-9_-]*"
NAME_EXPECTED = "a name of small letters, digits, - and _"

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
        raise InputError(f"{kind} {name!r}: expected {NAME_EXPECTED}")


def path_of(kind: FileKind, name: str, base: Path) -> Path:
    """The path below `base` that the file of that name has; it need not exist."""
    check_name(name, kind)
    return base / _FILES[kind].replace("*", name)


def find_file(kind: FileKind, name: str, root: Path) -> Path:
    """The file of that name below `root`, otherwise the shipped one.

    Raises InputError that suggests the nearest name and lists all.
    """
    for base in (root, shipped()):
        if (path := path_of(kind, name, base)).is_file():
            return path
    names = existing(kind, root)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"there is no {kind} {name!r}: {path_of(kind, name, root)} does not exist, and no {kind} of"
        " this name is shipped",
        f"{hint}There are: {', '.join(names) or 'none'}.",
    )


def existing(kind: FileKind, root: Path) -> list[str]:
    """All names below `root` and among the shipped files, sorted."""
    return sorted({name for base in (root, shipped()) for name in _names(kind, base)})


def _names(kind: FileKind, base: Path) -> Iterator[str]:
    for path in base.glob(_FILES[kind]):
        name = path.stem if kind == "search space" else path.parent.name
        if re.fullmatch(NAME_PATTERN, name):
            yield name
