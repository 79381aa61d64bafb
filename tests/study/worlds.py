"""Computed hosts on which something goes wrong, for the tests of this directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from tuner.backends.backend import DeployingBackend
from tuner.backends.simulated import SimulatedDeployer, simulated_backend
from tuner.backends.simulated_host import Workload
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import TrialFailed
from tuner.load.burst_progress import BurstProgress
from tuner.load.target import Target
from tuner.measure.pruning import Pruner
from tuner.measure.samples import Burst
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, LoadProfile, Stage, StudySpec
from tuner.trial import Client


class World:
    """A computed host, but what deploys is what `choose` has for a trial's label; it may raise."""

    name = "simulated"

    def __init__(self, spec: StudySpec, choose: Callable[[Deployer, str], Deployer]) -> None:
        self._usual = simulated_backend(spec).deployer
        self._choose = choose

    def __enter__(self) -> Self:
        self._usual.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._usual.__exit__(*exc)

    def environment(self) -> Mapping[str, Any]:
        return self._usual.environment()

    def null_server(self) -> AbstractContextManager[Target | None]:
        return self._usual.null_server()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        with self._choose(self._usual, label).deploy(spec, label) as deployment:
            yield deployment


def breaking(spec: StudySpec, failures: int) -> DeployingBackend:
    """A host whose next `failures` deployments break, whatever they ask for."""
    left = iter(range(failures))

    def choose(usual: Deployer, _label: str) -> Deployer:
        if next(left, None) is not None:
            raise TrialFailed("the engine went away")
        return usual

    return replace(simulated_backend(spec), deployer=World(spec, choose))


def drifting(spec: StudySpec, slowness: Callable[[int], float]) -> DeployingBackend:
    """A host on which everything takes `slowness(number)` times as long in that trial."""
    hosts: dict[float, Deployer] = {}

    def choose(_usual: Deployer, label: str) -> Deployer:
        factor, one = slowness(int(label)), Workload()
        slow = replace(one, service_ms=factor * one.service_ms, network_ms=factor * one.network_ms)
        return hosts.setdefault(factor, SimulatedDeployer(Host.this(), spec.seed, slow))

    return replace(simulated_backend(spec), deployer=World(spec, choose))


Distrust = Callable[[Deployment, LoadProfile], bool]


def in_turn(bursts: Iterable[bool]) -> Distrust:
    """Of the first bursts those that are True, of later ones none."""
    left = iter(bursts)
    return lambda _target, _profile: next(left, False)


def untrusted(spec: StudySpec, distrust: Distrust) -> DeployingBackend:
    """A host on which some bursts are INVALID: the load engine used 90 % of its core in them."""
    usual = simulated_backend(spec)

    @contextmanager
    def connect(target: Deployment, profile: LoadProfile) -> Iterator[Client]:
        with usual.connect(target, profile) as client:
            yield Busy(client) if distrust(target, profile) else client

    return replace(usual, connect=connect)


@dataclass(frozen=True)
class Busy:
    """A client that does nothing else differently."""

    client: Client

    def run(
        self, observe: Callable[[BurstProgress], None] | None = None, pruner: Pruner | None = None
    ) -> Burst:
        return _busy(self.client.run(observe, pruner))

    def climb(
        self,
        next_rate: Callable[[Burst | None], float | None],
        observe: Callable[[BurstProgress], None] | None = None,
    ) -> Sequence[Burst]:
        return [_busy(burst) for burst in self.client.climb(next_rate, observe)]

    def explore(
        self, stages: Sequence[Stage], observe: Callable[[BurstProgress], None] | None = None
    ) -> Sequence[Burst]:
        return [_busy(burst) for burst in self.client.explore(stages, observe)]


def _busy(burst: Burst) -> Burst:
    (start,), (end,) = burst.client_start, burst.client_end
    cpu_ns = start.cpu_ns + round(0.9 * (end.time_ns - start.time_ns))
    return replace(burst, client_end=(replace(end, cpu_ns=cpu_ns),))
