"""Who runs the trials of a study: containers, a simulated host, or a recorded grid; by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from tuner.errors import InputError

if TYPE_CHECKING:
    from tuner.backends.backend import MakeBackend

BACKENDS: Mapping[str, str] = {
    "docker": "tuner.backends.docker:docker_backend",
    "simulated": "tuner.backends.simulated:simulated_backend",
    "replay": "tuner.backends.replay:replay_backend",
}
"""What makes each backend, as `module:name`: only that one is imported which is asked for."""


def backend_named(name: str) -> MakeBackend:
    """What makes the backend of that name. Raises InputError where there is none."""
    if name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}", f"expected one of {', '.join(BACKENDS)}")
    return cast("MakeBackend", pkgutil.resolve_name(BACKENDS[name]))
