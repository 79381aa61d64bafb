"""Which CPUs replicas and load engine run on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuner.errors import SetupError
from tuner.spec.study import Placement

FEWEST_APART = 4
"""CPUs from which on `auto` keeps one for the load engine."""


@dataclass(frozen=True)
class CpuPlacement:
    """CPU numbers; empty is any."""

    placement: Literal["apart", "shared", "other machine"]
    replicas: tuple[int, ...] = ()
    client: tuple[int, ...] = ()

    @property
    def cpuset(self) -> str | None:
        """`replicas` as the engine takes it."""
        return ",".join(map(str, self.replicas)) or None

    def facts(self) -> Mapping[str, Any]:
        return asdict(self)


def place_on_cpus(asked: Placement, cpus: int, local: bool) -> CpuPlacement:
    """Replicas and client apart, where asked or worth it: the client gets the last CPU.

    Raises SetupError where there are not two. A host that is not this machine has no client.
    """
    if not local:
        return CpuPlacement("other machine")
    if asked == "shared" or (asked == "auto" and cpus < FEWEST_APART):
        return CpuPlacement("shared")
    if cpus < 2:
        raise SetupError(
            "the load engine cannot have a CPU of its own: this host has one",
            "set `load.placement: shared` in the study",
        )
    return CpuPlacement("apart", tuple(range(cpus - 1)), (cpus - 1,))
