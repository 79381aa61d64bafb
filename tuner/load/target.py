"""The contract between the load engine and what it sends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tuner.measure.samples import ContainerCounters

CpuTimes = tuple[tuple[int, int], ...]


class Target(Protocol):
    """What the load engine can send to.

    `client_namespace` is the path of the network namespace that the engine enters, None to stay in
    its own. `client_cpus` are the CPUs that it runs on, empty for any.
    """

    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...

    @property
    def model_name(self) -> str: ...

    @property
    def client_namespace(self) -> str | None: ...

    @property
    def client_cpus(self) -> tuple[int, ...]: ...

    @property
    def local(self) -> bool:
        """Whether it runs on this machine, so that this machine's counters include it."""
        ...

    def counters(self) -> tuple[ContainerCounters, ...]: ...

    def cpu_times(self) -> CpuTimes:
        """(Timestamp, CPU time since its start) of each replica in ns. Cheaper than `counters`."""
        ...
