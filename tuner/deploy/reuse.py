"""Reuse of a deployment: the next trial that needs the same one gets it."""

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
    """What a trial's record says about the reuse of its deployment.

    `stayed` is whether the trial reused a deployment, `since` the label of the trial that it was
    made for, `peak_since` the label of the trial from which on its memory peak counts.
    """
    return {"stayed": stayed, "since": since, "memory_peak_since": peak_since}


@dataclass(frozen=True)
class _Standing:
    """A deployment that is up, the label of the trial it was made for, and how to take it down."""

    spec: DeploymentSpec
    label: str
    deployment: Deployment
    world: ExitStack


class ReusingDeployer:
    """`deployer`, but a deployment stays up when the block of its trial ends.

    The next `deploy` yields it again if it asks for an equal `DeploymentSpec` and nothing happened
    to the replicas meanwhile. Otherwise it takes the deployment down first; after `deploy_anew` it
    does so in any case. An exception inside the block takes the deployment down, and so do `leave`
    and the deployer's end.

    Counters are read as differences over a window, so earlier trials do not matter. The exception
    is the memory peak. Each trial counts it anew where the kernel can do that (cgroup v1).
    Otherwise it is the peak since the deployment, and `facts` say so. With `needs_peak` such a
    deployment is not reused. What the server itself keeps, such as a grown heap, stays.
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
        """The `reuse_facts` of the last `deploy`; empty where it brought nothing up."""
        return self._facts

    def deploy_anew(self) -> None:
        """Let the next `deploy` make a deployment, whatever is up."""
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
        """Take down the deployment that is up, if there is one."""
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.world.close()

    def _reuse(self, spec: DeploymentSpec, label: str) -> bool:
        """Whether the deployment that is up serves `spec`; then set the facts of that."""
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
