"""A host that is computed, not run: for tests, demonstrations and benchmarks.

`SimulatedDeployer` and `SimulatedSender` take the places of Docker and the load generator. Their
response times, CPU usage and memory come from a queueing model (`tuner.backends.simulated_host`)
with seeded noise; time is virtual, nothing sleeps. Whatever they make says `simulated`. Server
flags, environment variables, protocol and placement have no effect on a simulated replica.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tuner.backends.backend import NO_NODES, NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.simulated_burst import simulate
from tuner.backends.simulated_host import SimulatedHost, Workload
from tuner.deploy.protocol import Deployment
from tuner.errors import Infeasible, SetupError
from tuner.load.study_requests import study_requests, study_trace
from tuner.load.trace import Trace, replayed
from tuner.measure.measurement import Missing
from tuner.measure.powercap import ENERGY
from tuner.measure.pruning import Pruner
from tuner.measure.samples import Burst, ContainerCounters, Drops
from tuner.spec.host import Host
from tuner.spec.space import Value
from tuner.spec.study import DeploymentSpec, LoadProfile, NetworkSpec, Stage, StudySpec

NOISE = 0.05
CPU_NOISE = 0.02
"""Standard deviations of the logarithms of a burst's service time and CPU usage around their
true values."""

_STARTUP_CPU_NS = 800_000_000

_COUNTERS = (
    "client_wait_percent",
    "cpu_pressure_percent",
    "foreign_percent",
    "io_pressure_percent",
    "memory_pressure_percent",
    "received_mib_per_s",
    "replica_wait_percent",
    "retransmitted_percent",
    "sent_mib_per_s",
    "steal_percent",
)
_MISSING: Mapping[str, Missing] = {
    **ENERGY,
    **NO_NODES,
    **dict.fromkeys(
        _COUNTERS,
        Missing("a simulated host has no such counter", "Use --backend docker, or another metric."),
    ),
}
"""What a computed host does not have."""


def simulated_backend(
    study: StudySpec, _options: BackendOptions = NO_OPTIONS, /
) -> DeployingBackend:
    """A computed copy of this host: its CPUs and memory, and noise that the study's seed fixes."""
    deployer, sender = SimulatedDeployer(Host.this(), study.seed), SimulatedSender()
    if study.load.arrivals == "trace":
        trace = study_trace(study, study_requests(study))
        assert trace is not None
        sender = SimulatedSender(trace)
    return DeployingBackend("simulated", study, deployer, sender.connect, missing=_MISSING)


@dataclass(frozen=True)
class SimulatedImpairment:
    """A bad network of a simulated deployment; `counted` holds each burst's drops."""

    network: NetworkSpec
    counted: Sequence[Drops]

    def drops(self) -> tuple[Drops, ...]:
        return tuple(self.counted)

    def facts(self) -> Mapping[str, Any]:
        return {
            "asked": dataclasses.asdict(self.network),
            "method": "simulated",
            "where": {},
            "offloads": {},
            "rules": [dataclasses.asdict(drops) for drops in self.counted],
        }


class SimulatedDeployment:
    """Replicas that exist in numbers only. Made by `SimulatedDeployer.deploy`."""

    def __init__(
        self, spec: DeploymentSpec, host: SimulatedHost, seed: int, repeats: Counter[str]
    ) -> None:
        self._spec = spec
        self._host = host
        self._seed = seed
        self._repeats = repeats
        self._network = NetworkSpec()
        self._drops: list[Drops] = []
        self._killed = ""
        first = ContainerCounters(
            time_ns=0,
            cpu_ns=_STARTUP_CPU_NS,
            periods=0,
            throttled_periods=0,
            throttled_ns=0,
            memory_peak_bytes=int(host.workload.base_mib * 2**20),
            memory_limit_hits=0,
            oom_kills=0,
            major_faults=0,
            source="simulated",
        )
        self._counters = (first,) * spec.replicas

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [(f"simulated-{i}", 8501) for i in range(self._spec.replicas)]

    @property
    def model_name(self) -> str:
        return self._spec.model.name

    @property
    def host_cpus(self) -> int:
        return self._host.host.cpus

    @property
    def ready_seconds(self) -> float:
        """As long as a replica needs for the CPU time of its start-up."""
        return _STARTUP_CPU_NS / 1e9 / min(1.0, self._spec.cpu)

    @property
    def client_namespace(self) -> str | None:
        return None

    @property
    def client_cpus(self) -> tuple[int, ...]:
        return ()

    @property
    def local(self) -> bool:
        return False

    def counters(self) -> tuple[ContainerCounters, ...]:
        return self._counters

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return tuple((c.time_ns, c.cpu_ns) for c in self._counters)

    @contextmanager
    def impair(self, network: NetworkSpec) -> Iterator[SimulatedImpairment]:
        if network.bandwidth_mbit is not None:
            raise SetupError(
                "the simulated backend knows no bandwidth",
                "leave `bandwidth` out of the search space, or use --backend docker",
            )
        self._network, self._drops = network, []
        try:
            yield SimulatedImpairment(network, self._drops)
        finally:
            self._network = NetworkSpec()

    def verify(self) -> None:
        if self._killed:
            raise Infeasible("out of memory", self._killed)

    def forget_peak(self) -> bool:
        """True: the peak that a burst leaves is its own."""
        return True

    def log_tail(self) -> str:
        """Empty: what does not run writes nothing."""
        return ""

    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "simulated",
            "replicas": self._spec.replicas,
            "cpu": self._spec.cpu,
            "memory_mib": self._spec.memory_mib,
            "ignored_flags": dict(self._spec.serving.flags),
            "ignored_env": dict(self._spec.serving.env),
            "ignored_protocol": self._spec.protocol,
            "ignored_placement": self._spec.serving.placement,
        }

    def send(self, profile: LoadProfile, pruner: Pruner | None = None) -> Burst:
        """The burst that a load generator would have seen, in no time.

        Its noise depends on the deployer's seed, the configuration and how often that deployer has
        sent the same, and on nothing else.
        """
        configuration: dict[str, Value] = {
            "concurrency": profile.concurrency,
            "cpu": self._spec.cpu,
            "memory": self._spec.memory_mib,
            "replicas": self._spec.replicas,
        }
        key = repr((configuration, self._network, profile.rate_rps))
        digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
        rng = np.random.default_rng([self._seed, digest, self._repeats[key]])
        self._repeats[key] += 1
        slowdown = math.exp(rng.normal(0.0, NOISE))
        course = self._host.course(configuration, self._network, profile.rate_rps, slowdown)
        noise = min(math.exp(rng.normal(0.0, CPU_NOISE)), self.host_cpus / course.cores)
        course = dataclasses.replace(
            course,
            idle_cores=noise * course.idle_cores,
            request_cpu_seconds=noise * course.request_cpu_seconds,
        )
        needed = self._host.working_set_mib(profile.concurrency, self._spec.replicas)
        survives = needed <= self._spec.memory_mib
        sent = simulate(course, profile, self._counters, survives, rng, pruner)
        peak = int(min(needed, self._spec.memory_mib) * 2**20)
        self._counters = tuple(
            dataclasses.replace(end, memory_peak_bytes=peak, oom_kills=0 if survives else 1)
            for end in sent.burst.counters_end
        )
        self._drops += sent.drops
        if not survives:
            self._killed = (
                f"a simulated replica with {self._spec.memory_mib} MiB was killed: "
                f"at concurrency {profile.concurrency} its share of the requests needs "
                f"{needed:.0f} MiB"
            )
        return dataclasses.replace(sent.burst, counters_end=self._counters)


class SimulatedDeployer:
    """Deploys nothing and says so. `seed` fixes the noise of everything that is sent to it."""

    name = "simulated"

    def __init__(self, host: Host, seed: int, workload: Workload | None = None) -> None:
        self.host = SimulatedHost(host, workload or Workload())
        self._seed = seed
        self._repeats: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was created, so nothing is removed."""

    def environment(self) -> Mapping[str, Any]:
        return {
            "backend": "simulated",
            "host": dataclasses.asdict(self.host.host),
            "workload": dataclasses.asdict(self.host.workload),
            "noise": {"service": NOISE, "cpu": CPU_NOISE},
            "seed": self._seed,
        }

    @contextmanager
    def null_server(self) -> Iterator[None]:
        """None: there is no path that requests take."""
        yield None

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[SimulatedDeployment]:
        """As the protocol says; Infeasible where not even the model fits into the memory."""
        base = self.host.workload.base_mib
        if base > spec.memory_mib:
            raise Infeasible(
                "out of memory",
                f"a simulated replica of {label} with {spec.memory_mib} MiB was killed while it "
                f"started: it needs {base:.0f} MiB",
            )
        yield SimulatedDeployment(spec, self.host, self._seed, self._repeats)


@dataclass(frozen=True)
class SimulatedClient:
    """Connections that exist in numbers only."""

    target: SimulatedDeployment
    profile: LoadProfile

    def run(
        self,
        observe: Callable[[Any], None] | None = None,  # noqa: ARG002 -- a burst in no time has no progress to tell
        pruner: Pruner | None = None,
    ) -> Burst:
        return self.target.send(self.profile, pruner)

    def climb(
        self,
        next_rate: Callable[[Burst | None], float | None],
        observe: Callable[[Any], None] | None = None,  # noqa: ARG002 -- see run
    ) -> Sequence[Burst]:
        """As the protocol says; the queue of a burst is gone before the next one."""
        bursts: list[Burst] = []
        while (rate := next_rate(bursts[-1] if bursts else None)) is not None:
            profile = dataclasses.replace(self.profile, rate_rps=rate)
            bursts.append(self.target.send(profile))
        return bursts

    def explore(
        self,
        stages: Sequence[Stage],
        observe: Callable[[Any], None] | None = None,  # noqa: ARG002 -- see run
    ) -> Sequence[Burst]:
        """A burst for each stage, at the middle of its levels: a simulated ramp is a step."""
        return [
            dataclasses.replace(
                self.target.send(_at(self.profile, stage)),
                stop_reason=f"simulated: a stage of {stage.seconds:g} s",
            )
            for stage in stages
        ]


def _at(profile: LoadProfile, stage: Stage) -> LoadProfile:
    spec = dataclasses.replace(profile.spec, min_seconds=stage.seconds, max_seconds=stage.seconds)
    level = (stage.start + stage.end) / 2
    if profile.rate_rps is None:
        return dataclasses.replace(profile, spec=spec, concurrency=max(1, round(level)))
    return dataclasses.replace(profile, spec=spec, rate_rps=level)


class SimulatedSender:
    """Stands where the load generator does, for simulated deployments only.

    It replays `trace`, where the load is one.
    """

    def __init__(self, trace: Trace | None = None) -> None:
        self._trace = trace

    @contextmanager
    def connect(
        self,
        target: Deployment,
        profile: LoadProfile,
        requests: Sequence[bytes] = (),  # noqa: ARG002 -- their content makes no difference here
        *,
        path: str = "",  # noqa: ARG002
    ) -> Iterator[SimulatedClient]:
        """Raises TypeError for a deployment that is not simulated."""
        if not isinstance(target, SimulatedDeployment):
            raise TypeError("the simulated sender sends to simulated deployments only")
        if self._trace is not None:
            profile = replayed(profile, self._trace)
        yield SimulatedClient(target, profile)
