"""The numbered directories of a model, as TensorFlow Serving reads their names."""

from __future__ import annotations

import re


def version_number(name: str) -> int | None:
    """The version that a directory of this name holds; None where TensorFlow Serving ignores it.

    It has digits only, and fits 64 bits. (The server in the image has its own copy of this.)
    """
    number = int(name) if re.fullmatch(r"[0-9]{1,100}", name) else -1
    return number if 0 <= number < 2**63 else None
