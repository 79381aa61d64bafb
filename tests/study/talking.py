"""A computed host whose replicas write a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from tuner.backends.backend import Backend
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployer, Deployment
from tuner.load.target import Target
from tuner.spec.study import DeploymentSpec, StudySpec


@dataclass
class Talking:
    """The deployer `usual`, but its replicas wrote `log`."""

    usual: Deployer
    log: str
    name: str = "simulated"

    def __enter__(self) -> Self:
        self.usual.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.usual.__exit__(*exc)

    def environment(self) -> Mapping[str, Any]:
        return self.usual.environment()

    def null_server(self) -> AbstractContextManager[Target | None]:
        return self.usual.null_server()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        with self.usual.deploy(spec, label) as deployment:
            vars(deployment)["log_tail"] = lambda: self.log
            yield deployment


def talking(spec: StudySpec, log: str) -> Backend:
    usual = simulated_backend(spec)
    return replace(usual, deployer=Talking(usual.deployer, log))
