"""The versions of a model: directories whose names are numbers."""

from __future__ import annotations

import re
from pathlib import Path

from .status import Code, StatusError

_VERSION = re.compile(r"[0-9]{1,100}")


def numbered_versions(base_path: Path) -> dict[int, Path]:
    """The directories in `base_path` whose names are numbers of 64 bits, by number.

    Others are ignored, as TensorFlow Serving does. Raises StatusError (NOT_FOUND) where
    `base_path` cannot be read.
    """
    try:
        numbered = [e for e in base_path.iterdir() if _VERSION.fullmatch(e.name) and e.is_dir()]
        return {number: e for e in numbered if (number := int(e.name)) < 2**63}
    except OSError as error:
        raise StatusError(
            Code.NOT_FOUND, f"the model's base path {base_path} cannot be read: {error.strerror}"
        ) from error
