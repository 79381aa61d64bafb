"""The contract of whatever can run a configuration. A conformance suite checks it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from tuner.load.target import Target
from tuner.measure.samples import Drops
from tuner.spec.study import DeploymentSpec, NetworkSpec


class Impairment(Protocol):
    """A bad network while it is on.

    `facts()` holds what was asked for, the method, where packets are dropped, the segmentation
    offloads of both ends, and the counters. `drops()` gives the counters of each replica and
    direction that loses packets.
    """

    def facts(self) -> Mapping[str, Any]: ...

    def drops(self) -> tuple[Drops, ...]: ...


class Deployment(Target, Protocol):
    """Replicas that are ready and have answered their golden requests correctly.

    Valid only inside the `with` block that made it. `addresses` holds one (host, port) per
    replica; `counters()` gives one entry per replica in the same order and may be called from
    any thread.
    """

    @property
    def host_cpus(self) -> int: ...

    @property
    def ready_seconds(self) -> float | None:
        """From the start of a replica until it answered rightly, of the slowest one.

        None where the replicas were not brought up here.
        """
        ...

    def impair(self, network: NetworkSpec) -> AbstractContextManager[Impairment]:
        """Make every replica's link as bad as `network` says until the block ends.

        A clean network adds no rule. Raises TrialFailed when a rule cannot be set or its removal
        cannot be confirmed, SetupError when this host cannot do what is asked.
        """
        ...

    def verify(self) -> None:
        """Raise where something befell a replica since it was deployed.

        Infeasible where it ran out of memory or ended by itself, TrialFailed where something else
        ended, paused, restarted or removed it.
        """
        ...

    def forget_peak(self) -> bool:
        """Count every replica's memory peak anew from now on. Returns whether that was possible."""
        ...

    def log_tail(self) -> str:
        """The last lines that the replicas wrote, short and harmless (`tuner.deploy.logs`).

        Where the log cannot be read the text says why: no trial fails because of its log.
        """
        ...

    def facts(self) -> Mapping[str, Any]:
        """What the record says of it. JSON-able.

        `nodes` names the machine of each replica, where they may be on several.
        """
        ...


class Deployer(Protocol):
    """Runs configurations one at a time.

    A deployer is itself a context manager. Entering it prepares what all trials share (image, page
    cache keeper, sweep of dead runs). Leaving it removes whatever is still there.
    """

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def environment(self) -> Mapping[str, Any]:
        """What all trials of this run have in common: host, engine, image, model. JSON-able."""
        ...

    def null_server(self) -> AbstractContextManager[Target | None]:
        """A server that only answers, on the same path as requests to a deployment.

        None where there is no such path, as on a simulated host.
        """
        ...

    def deploy(self, spec: DeploymentSpec, label: str) -> AbstractContextManager[Deployment]:
        """Bring up `spec`, wait until it is ready, check the golden answers; at the end remove it.

        `label` names the trial on everything that is created. Raises Infeasible when a replica is
        OOM-killed or never ready, TrialFailed when it answers wrongly or something else disturbed
        it, TuneError when a limit was not applied.
        """
        ...
