"""Who runs the trials of a study: containers, a simulated host, a recorded grid, or what is
there already; by name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, cast

from tuner.errors import InputError
from tuner.plugins import added_by_packages, names_added_by_packages

if TYPE_CHECKING:
    from tuner.backends.backend import MakeBackend

BACKENDS: Mapping[str, str] = {
    "docker": "tuner.backends.docker:docker_backend",
    "simulated": "tuner.backends.simulated:simulated_backend",
    "replay": "tuner.backends.replay:replay_backend",
    "endpoint": "tuner.backends.endpoint:endpoint_backend",
    "swarm": "tuner.backends.swarm:swarm_backend",
}
"""What makes each backend of tune, as `module:name`: only the one that is used is imported."""


def backend_names() -> tuple[str, ...]:
    """Those of tune, then those that installed packages add (entry points `tune.backends`)."""
    return tuple(dict.fromkeys([*BACKENDS, *names_added_by_packages("tune.backends")]))


def backend_named(name: str) -> MakeBackend:
    """What makes the backend of that name.

    Raises InputError where there is none, SetupError where what a package adds cannot be used.
    """
    if name in BACKENDS:
        return cast("MakeBackend", pkgutil.resolve_name(BACKENDS[name]))
    if name not in backend_names():
        raise InputError(
            f"there is no backend {name!r}",
            f"expected one of {', '.join(backend_names())}",
        )
    return _added()[name]


@cache
def _added() -> Mapping[str, MakeBackend]:
    return added_by_packages(
        "tune.backends",
        "a function from a StudySpec and BackendOptions to a tuner.backends.backend.Backend",
        lambda _, loaded: cast("MakeBackend", loaded) if callable(loaded) else None,
        BACKENDS,
    )
