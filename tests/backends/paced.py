"""Computed hosts whose trials take real time, for processes that are no pytest.

A process that calls `install` knows the backend `paced`. What it does is said by the environment:
PACED_SECONDS is how long each burst takes, PACED_PLACE a directory in which each deployment that is
up has a file, PACED_FAULT what goes wrong there (`broken`: every trial).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import tuner.backends
from tuner.backends.backend import NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.simulated import SimulatedDeployer, simulated_backend
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import SetupError, TrialFailed, Unreachable
from tuner.load.burst_progress import BurstProgress
from tuner.load.target import Target
from tuner.measure.pruning import Pruner
from tuner.measure.samples import Burst
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, LoadProfile, Stage, StudySpec
from tuner.trial import Client

_TICK_SECONDS = 0.05


def install() -> None:
    """Let this process know the backend."""
    cast("dict[str, str]", tuner.backends.BACKENDS)["paced"] = f"{__name__}:paced_backend"


def paced_backend(study: StudySpec, _options: BackendOptions = NO_OPTIONS, /) -> DeployingBackend:
    usual = simulated_backend(study)
    seconds = float(os.environ.get("PACED_SECONDS", "0"))
    fault = os.environ.get("PACED_FAULT", "")

    @contextmanager
    def connect(target: Deployment, profile: LoadProfile) -> Iterator[Client]:
        with usual.connect(target, profile) as client:
            yield _Paced(client, seconds)

    def same() -> Mapping[str, str]:
        if fault == "no engine":
            raise SetupError("no Docker Engine answers", "start it")
        if fault == "more CPUs":
            return {"CPUs": str(2 * Host.this().cpus)}
        return {"CPU model": "slow"} if fault == "other CPU" else {}

    return replace(
        usual,
        name="paced",
        deployer=_Places(cast("SimulatedDeployer", usual.deployer), fault),
        connect=connect,
        same=same,
    )


def up(place: Path) -> list[str]:
    """What is up in a directory that PACED_PLACE names."""
    return sorted(path.name for path in place.iterdir())


class _Places:
    """Deploys nothing, and leaves a file for as long as that is up."""

    name = "paced"

    def __init__(self, usual: Deployer, fault: str) -> None:
        self._usual = usual
        self._fault = fault
        self._left_to_lose = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Each deployment ended by itself."""

    def environment(self) -> Mapping[str, Any]:
        usual = self._usual.environment()
        cpu = "slow" if self._fault == "other CPU" else "usual"
        cpus = Host.this().cpus * (2 if self._fault == "more CPUs" else 1)
        return {**usual, "backend": self.name, "host": {**usual["host"], "cpu": cpu, "cpus": cpus}}

    @contextmanager
    def null_server(self) -> Iterator[Target | None]:
        yield None

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        if self._fault == "broken":
            raise TrialFailed("replica 0 was removed by something else")
        if self._fault == "engine goes" and self._left_to_lose:
            self._left_to_lose -= 1
            raise Unreachable("the engine does not answer", "start it")
        place = os.environ.get("PACED_PLACE")
        file = Path(place) / f"{os.getpid()}-{label}" if place else None
        if file is not None:
            file.touch()
        try:
            with self._usual.deploy(spec, label) as deployment:
                yield deployment
        finally:
            if file is not None:
                file.unlink()


@dataclass(frozen=True)
class _Paced:
    """A client that takes its time, and tells its progress meanwhile."""

    client: Client
    seconds: float

    def run(
        self, observe: Callable[[BurstProgress], None] | None = None, pruner: Pruner | None = None
    ) -> Burst:
        began = time.monotonic()
        while (left := began + self.seconds - time.monotonic()) > 0:
            if observe is not None:
                spent = self.seconds - left
                observe(
                    BurstProgress("window", spent, left, 0, 0, None, None, None, 0.0, 0.0, "time")
                )
            time.sleep(min(left, _TICK_SECONDS))
        return self.client.run(None, pruner)

    def explore(
        self, stages: Sequence[Stage], observe: Callable[[BurstProgress], None] | None = None
    ) -> Sequence[Burst]:
        return self.client.explore(stages, observe)

    def climb(
        self,
        next_rate: Callable[[Burst | None], float | None],
        observe: Callable[[BurstProgress], None] | None = None,
    ) -> Sequence[Burst]:
        return self.client.climb(next_rate, observe)
