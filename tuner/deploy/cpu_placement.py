"""On which CPUs replicas and load engine run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuner.errors import SetupError
from tuner.spec.study import CpuPlacementRule

FEWEST_APART = 4
"""The fewest CPUs of a host on which `auto` keeps one for the load engine."""


@dataclass(frozen=True)
class CpuPlacement:
    """The CPU numbers of replicas and client; empty for any."""

    placement: Literal["apart", "shared", "other machine"]
    replicas: tuple[int, ...] = ()
    client: tuple[int, ...] = ()

    @property
    def cpuset(self) -> str | None:
        """`replicas` as the engine takes it."""
        return ",".join(map(str, self.replicas)) or None

    def facts(self) -> Mapping[str, Any]:
        return asdict(self)


def place_on_cpus(rule: CpuPlacementRule, cpus: int, local: bool, senders: int = 1) -> CpuPlacement:
    """Where replicas and client run. The client gets the last CPU where the two are kept apart, or
    as many as it has `senders`, half of all at most.

    They are kept apart where `rule` is `apart`, or is `auto` and there are enough CPUs. On
    another machine (not `local`) there is no client. Raises SetupError where there is one CPU for
    both.
    """
    if not local:
        return CpuPlacement("other machine")
    if rule == "shared" or (rule == "auto" and cpus < FEWEST_APART):
        return CpuPlacement("shared")
    if cpus < 2:
        raise SetupError(
            "the load engine cannot have a CPU of its own: this host has only one",
            "set `load.cpu_placement: shared` in the study",
        )
    kept = cpus - min(senders, cpus // 2)
    return CpuPlacement("apart", tuple(range(kept)), tuple(range(kept, cpus)))
