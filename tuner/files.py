"""Writes files as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tuner.errors import InputError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that replaces `path` when the block ends. If the block raises, `path` stays as it is.

    Raises OSError where the file cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


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
