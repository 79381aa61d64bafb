"""Reuse of a deployment: it stays up for the next trial that asks for the same one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tuner.deploy.protocol import Deployer, Deployment
from tuner.load.target import Target
from tuner.spec.study import DeploymentSpec


def reuse_facts(*, stayed: bool, since: str, peak_since: str) -> dict[str, Any]:
    """What a trial's record says of its deployment.

    `stayed` is whether nothing was made for this trial; `since` is the label of the trial that the
    deployment was made for; `peak_since` the one from which on its memory peak is counted.
    """
    return {"stayed": stayed, "since": since, "memory_peak_since": peak_since}


@dataclass(frozen=True)
class _Standing:
    """What is up, the label of the trial that it was made for, and how to take it down."""

    spec: DeploymentSpec
    label: str
    deployment: Deployment
    world: ExitStack


class ReusingDeployer:
    """The deployer `deployer`, but what a trial deployed stays up when its block ends.

    The next `deploy` yields it again where it asks for an equal `DeploymentSpec` and nothing
    happened to the replicas meanwhile; otherwise it is torn down first. After `deploy_anew` it is
    torn down even where it is equal. What raises inside the block takes the deployment down, and
    so do `leave` and the deployer's end.

    What counts since a container's start is read as differences over a window, but for the memory
    peak: it is counted anew from each trial on, where the kernel can do that (cgroup v1), else it
    is that since the deployment, which `facts` say. With `needs_peak` a deployment whose peak
    cannot be counted anew is not used again. What the server itself keeps (a heap that an earlier
    burst made larger) stays with it.
    """

    def __init__(self, deployer: Deployer, *, needs_peak: bool = False) -> None:
        self.name = deployer.name
        self._deployer = deployer
        self._needs_peak = needs_peak
        self._standing: _Standing | None = None
        self._anew = False
        self._facts: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        self._deployer.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.leave()
        finally:
            self._deployer.__exit__(*exc)

    def environment(self) -> Mapping[str, Any]:
        return self._deployer.environment()

    def null_server(self) -> AbstractContextManager[Target | None]:
        return self._deployer.null_server()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What `reuse_facts` says of the last `deploy`; empty where that could not bring it up."""
        return self._facts

    def deploy_anew(self) -> None:
        """Let the next `deploy` use nothing that stands."""
        self._anew = True

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        """See `Deployer.deploy` and this class."""
        self._facts = {}
        anew, self._anew = self._anew, False
        stayed = not anew and self._reuse(spec, label)
        if not stayed:
            self.leave()
            self._bring_up(spec, label)
            self._facts = reuse_facts(stayed=False, since=label, peak_since=label)
        standing = self._standing
        assert standing is not None
        try:
            yield standing.deployment
        except BaseException:
            self._standing = None
            # The deployment's own end may know better what happened, and raise that instead.
            standing.world.__exit__(*sys.exc_info())
            raise

    def leave(self) -> None:
        """Take down what stands, if anything does."""
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.world.close()

    def _reuse(self, spec: DeploymentSpec, label: str) -> bool:
        """Whether what stands serves `spec` too."""
        standing = self._standing
        if standing is None or standing.spec != spec:
            return False
        try:
            standing.deployment.verify()
            anew = standing.deployment.forget_peak()
        except Exception:  # noqa: BLE001 -- whatever befell it while it was idle, a new one is made
            return False
        if self._needs_peak and not anew:
            return False
        peak_since = label if anew else standing.label
        self._facts = reuse_facts(stayed=True, since=standing.label, peak_since=peak_since)
        return True

    def _bring_up(self, spec: DeploymentSpec, label: str) -> None:
        with ExitStack() as world:
            deployment = world.enter_context(self._deployer.deploy(spec, label))
            self._standing = _Standing(spec, label, deployment, world.pop_all())
