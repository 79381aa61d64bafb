"""The contract of everything that can run a configuration (see the conformance suite)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from tuner.measure.samples import ContainerCounters
from tuner.spec.study import DeploymentSpec


class Impairment(Protocol):
    """Packet loss while it is on. `facts()` says the method, the asked loss and the counters."""

    def facts(self) -> Mapping[str, Any]: ...


class Deployment(Protocol):
    """Replicas that are ready and answered their golden request correctly.

    Valid only inside the `with` block that made it. `addresses` holds one (host, port) per
    replica; `counters()` gives one entry per replica in the same order and may be called from
    any thread.
    """

    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...

    @property
    def model_name(self) -> str: ...

    @property
    def host_cpus(self) -> int: ...

    def counters(self) -> tuple[ContainerCounters, ...]: ...

    def impair(self, loss_percent: float) -> AbstractContextManager[Impairment]:
        """Drop `loss_percent` of the packets of each direction until the block ends.

        Zero adds no rule. Raises TrialFailed when the rule cannot be set or its removal cannot
        be confirmed.
        """
        ...

    def verify(self) -> None:
        """Raise Infeasible when a replica died or was OOM-killed since it was deployed."""
        ...

    def facts(self) -> Mapping[str, Any]: ...


class Deployer(Protocol):
    """Runs configurations one at a time.

    A deployer is itself a context manager: entering it prepares what all trials share (image,
    page cache keeper, sweep of dead runs), leaving it removes whatever is still there.
    """

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def environment(self) -> Mapping[str, Any]:
        """What all trials of this run share: host, engine, image, model. JSON-able."""
        ...

    def deploy(self, spec: DeploymentSpec, label: str) -> AbstractContextManager[Deployment]:
        """Bring up `spec`, wait until ready, check the golden answers; undo it all at the end.

        `label` names the trial on whatever is created. Raises Infeasible when a replica is
        OOM-killed or never ready, TrialFailed when it answers wrongly, TuneError when a limit
        was not applied.
        """
        ...
