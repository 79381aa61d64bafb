"""Files that are there whole or not at all."""

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
    """A file that becomes `path` when the block ends; `path` is untouched when it raises.

    Raises OSError where it cannot be written.
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
    """Around what writes a file that a user asked for: OSError becomes InputError of `called`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{called} cannot be written: {error.strerror}",
            "name a file in a directory that exists",
        ) from error
