"""What measured: the versions of `tune` and of what has a part in its numbers."""

from __future__ import annotations

import platform
from importlib.metadata import version

import tuner

_PARTS = ("optuna", "docker", "numpy", "scipy", "uvloop", "httptools")


def versions() -> dict[str, str]:
    """Versions by name."""
    return {
        "tune": tuner.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PARTS},
    }
