"""One trial, top to bottom: deploy, impair, send a burst, measure, score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, cast

from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import Infeasible, TrialFailed
from tuner.load.burst_progress import BurstProgress
from tuner.measure.calibration import Calibration
from tuner.measure.capacity import (
    CAPACITY,
    FIRST_RATE,
    Capacity,
    CapacitySearch,
    capacity_constraints,
)
from tuner.measure.measurement import Measurement
from tuner.measure.measuring import measure_burst
from tuner.measure.pruning import Pruner
from tuner.measure.samples import Burst, Drops, RequestOutcome
from tuner.measure.score import Score, requests_needed, score
from tuner.spec.space import Configuration
from tuner.spec.study import (
    DeploymentSpec,
    KnownLoss,
    LoadProfile,
    LoadProtocol,
    NetworkSpec,
    NodePlacement,
    Stage,
    StudySpec,
)

_CONNECTIONS_EACH = 8

WARM_SECONDS = 1.0
"""The longest warm-up on a deployment that has served a burst before."""

Observe = Callable[[str | BurstProgress], None]
"""Told the name of each phase as it begins, and the burst's progress."""


def unobserved(_event: str | BurstProgress) -> None:
    """The observer who does not listen; unlike a lambda it can be sent to another process."""


class Client(Protocol):
    """Connections to a deployment, open and idle."""

    def run(
        self, observe: Callable[[BurstProgress], None] | None = None, pruner: Pruner | None = None
    ) -> Burst:
        """One burst that ends by the stop rule, or before it where `pruner` has a reason."""
        ...

    def explore(
        self, stages: Sequence[Stage], observe: Callable[[BurstProgress], None] | None = None
    ) -> Sequence[Burst]:
        """One burst through stages of fixed length; what each of them says by itself."""
        ...

    def climb(
        self,
        next_rate: Callable[[Burst | None], float | None],
        observe: Callable[[BurstProgress], None] | None = None,
    ) -> Sequence[Burst]:
        """Bursts of an open loop, each at the rate that `next_rate` makes of the one before."""
        ...


Connect = Callable[[Deployment, LoadProfile], AbstractContextManager[Client]]
"""Opens the connections of one burst, idle until the client runs."""


@dataclass(frozen=True)
class Rig:
    """What a trial is measured with: who deploys, and who sends to the deployment.

    `calibration` is that of the load engine on the path that requests take, None where there is no
    such path or it was not calibrated.
    """

    deployer: Deployer
    connect: Connect
    calibration: Calibration | None = None
    is_warm: Callable[[], bool] = lambda: False
    """Whether the deployment that `deployer` gave last has served a burst before."""

    def sent(self, profile: LoadProfile) -> LoadProfile:
        """The profile with as many senders as were calibrated."""
        if self.calibration is None:
            return profile
        return replace(profile, senders=self.calibration.senders)


@dataclass(frozen=True)
class TrialRequest:
    """What a trial is to measure.

    `label` names the trial on whatever is created for it. A `fresh` trial needs a deployment of its
    own; another one may use what the last trial left up. `pruner` may end the burst early.
    `observe` is told each phase as it begins, and the burst's progress. `known_loss` is what
    the study knows of what lost packets add to ART, so that the burst need not learn it.
    """

    configuration: Configuration
    label: str
    fresh: bool = False
    pruner: Pruner | None = None
    observe: Observe = unobserved
    known_loss: KnownLoss | None = None


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured; exactly one of `measurement` and `infeasible` is set.

    `log_tail` is what the replicas wrote last when the burst had ended; of an infeasible one
    `infeasible` has it.
    """

    phases: Mapping[str, float]
    measurement: Measurement | None = None
    burst: Burst | None = None
    score: Score | None = None
    infeasible: Infeasible | None = None
    deployment: Mapping[str, Any] = field(default_factory=dict)
    impairment: Mapping[str, Any] = field(default_factory=dict)
    log_tail: str = ""

    @property
    def cut_short(self) -> str:
        """Why the burst was ended before it was precise; empty where it was not."""
        return self.burst.cut_short if self.burst else ""

    @property
    def invalid(self) -> bool:
        """Whether what was measured cannot be trusted."""
        return self.measurement is not None and self.measurement.verdict == "INVALID"

    @property
    def invalidities(self) -> str:
        """Why the measurement is INVALID, in words; empty where it is not."""
        findings = self.measurement.findings if self.measurement else ()
        return "; ".join(f.what for f in findings if f.verdict == "INVALID")

    def to_json(self) -> dict[str, Any]:
        """Everything but the burst's samples, as JSON-able data."""
        measurement, infeasible = self.measurement, self.infeasible
        return {
            "seconds": dict(self.phases),
            "measurement": measurement and asdict(measurement) | {"verdict": measurement.verdict},
            "infeasible": infeasible and {"kind": infeasible.kind, "message": infeasible.message},
            "deployment": dict(self.deployment),
            "network": dict(self.impairment),
        }


def run_trial(study: StudySpec, request: TrialRequest, rig: Rig) -> TrialResult:
    """Deploy the configuration, impair its network, send a burst and measure it.

    An infeasible configuration is a result. Raises TrialFailed when the trial broke for another
    reason. Whatever happens, nothing is left but what the deployer keeps.
    """
    configuration, phases = request.configuration, _Phases(request.observe)
    try:
        with ExitStack() as world:
            phases.begin("deploy")
            deployment = world.enter_context(
                rig.deployer.deploy(deployment_spec(study, configuration), request.label)
            )
            phases.begin("connect")
            climbs = CAPACITY in study.metrics
            profile = (capacity_profile if climbs else load_profile)(study, configuration)
            if rig.is_warm():
                profile = warm_profile(profile)
            profile = replace(profile, known_loss=request.known_loss)
            client = world.enter_context(rig.connect(deployment, rig.sent(profile)))
            phases.begin("impair")
            impairment = world.enter_context(deployment.impair(NetworkSpec.of(configuration)))
            phases.begin("burst")
            if climbs:
                capacity, burst = _climbed(client, study, request, deployment.host_cpus, rig)
            else:
                capacity, burst = None, client.run(request.observe, request.pruner)
            deployment.verify()
            facts = deployment.facts(), impairment.facts(), deployment.log_tail()
            drops = impairment.drops()
            phases.begin("tear down")
    except Infeasible as reason:
        return TrialResult(phases.end(), infeasible=reason)
    seconds = phases.end()
    measurement = _measured(
        study, configuration, burst, deployment.host_cpus, drops, rig.calibration
    )
    if capacity is not None:
        measurement = capacity.with_measured(measurement)
    if deployment.ready_seconds is not None:
        measurement = measurement.having("ready_seconds", deployment.ready_seconds)
    if nodes := facts[0].get("nodes"):
        measurement = measurement.having("nodes", len(set(nodes)))
    if wrong := measurement.errors.get(RequestOutcome.WRONG_ANSWER.name):
        raise TrialFailed(
            f"{wrong} answers of a sample differ from the golden ones by more than"
            f" {study.model.tolerance:g}: a server that answers wrongly is not a fast one"
        )
    return TrialResult(
        seconds,
        measurement,
        burst,
        score(measurement, study.objectives, study.constraints),
        None,
        *facts,
    )


def run_stages(
    study: StudySpec, request: TrialRequest, rig: Rig, stages: Sequence[Stage]
) -> tuple[Measurement, ...]:
    """Deploy the configuration once and measure it at each stage's level of load, in one burst.

    The level is the concurrency of a closed loop, the rate of an open one. Stages are of fixed
    length, so intervals may be wide. Raises Infeasible or TrialFailed.
    """
    configuration = request.configuration
    profile = load_profile(study, configuration)
    if study.load.arrivals == "closed":
        highest = max(level for stage in stages for level in (stage.start, stage.end))
        profile = replace(profile, concurrency=math.ceil(highest))
    request.observe("deploy")
    with (
        rig.deployer.deploy(deployment_spec(study, configuration), request.label) as deployment,
        rig.connect(deployment, rig.sent(profile)) as client,
        deployment.impair(NetworkSpec.of(configuration)) as impairment,
    ):
        bursts = client.explore(stages, request.observe)
        deployment.verify()
        drops = impairment.drops()
        cpus = deployment.host_cpus
    return tuple(
        _measured(study, configuration, burst, cpus, drops, rig.calibration) for burst in bursts
    )


def run_capacity(study: StudySpec, request: TrialRequest, rig: Rig) -> Capacity:
    """Deploy the configuration once and find the highest rate at which it holds the constraints.

    Raises Infeasible or TrialFailed.
    """
    configuration = request.configuration
    request.observe("deploy")
    with (
        rig.deployer.deploy(deployment_spec(study, configuration), request.label) as deployment,
        rig.connect(deployment, rig.sent(capacity_profile(study, configuration))) as client,
        deployment.impair(NetworkSpec.of(configuration)),
    ):
        capacity, _ = _climbed(client, study, request, deployment.host_cpus, rig)
        deployment.verify()
    return capacity


def _climbed(
    client: Client, study: StudySpec, request: TrialRequest, host_cpus: int, rig: Rig
) -> tuple[Capacity, Burst]:
    """The capacity, and the burst that counts for it."""
    configuration, calibration = request.configuration, rig.calibration
    most = math.inf if calibration is None else calibration.honest_rps()
    capacity = Capacity(CapacitySearch(most=most), capacity_constraints(study.constraints))

    def next_rate(burst: Burst | None) -> float | None:
        nonlocal capacity
        if burst is not None:
            measured = _measured(study, configuration, burst, host_cpus, (), calibration)
            capacity = capacity.after(measured)
        return capacity.search.next_rate()

    bursts = client.climb(next_rate, request.observe)
    return capacity, bursts[capacity.decisive]


def _measured(
    study: StudySpec,
    configuration: Configuration,
    burst: Burst,
    host_cpus: int,
    drops: Sequence[Drops],
    calibration: Calibration | None,
) -> Measurement:
    load = study.load
    return measure_burst(
        burst,
        host_cpus,
        load.batch_seconds,
        drops,
        calibration,
        load.max_foreign_percent,
        latency_bound_ms=study.latency_bound_ms,
        needed=study.metrics,
    ).with_reserved(configuration, study.prices)


def deployment_spec(study: StudySpec, configuration: Configuration) -> DeploymentSpec:
    """What the decision parameters of `configuration` say about the replicas."""
    flags, env = study.search_space.settings(configuration)
    serving = study.serving
    return DeploymentSpec(
        model=study.model,
        serving=replace(
            serving,
            server=_server(study, configuration),
            placement=_placement(study, configuration),
            flags={**serving.flags, **flags},
            env={**serving.env, **env},
        ),
        # An endpoint may lack them.
        replicas=int(configuration.get("replicas", 1)),
        cpu=float(configuration.get("cpu", 0.0)),
        memory_mib=int(configuration.get("memory", 0)),
        protocol=_protocol(study, configuration),
    )


def load_profile(study: StudySpec, configuration: Configuration) -> LoadProfile:
    """The load of a trial. It waits for the requests that the study's percentiles need."""
    rate = configuration.get("rate")
    fewest = max(study.load.min_requests, requests_needed(study.metrics))
    return LoadProfile(
        int(configuration["concurrency"]),
        replace(study.load, min_requests=fewest),
        study.seed,
        rate_rps=None if rate is None else float(rate),
        lossy=NetworkSpec.of(configuration).lossy,
        protocol=_protocol(study, configuration),
        server=_server(study, configuration),
        senders=1 if study.load.senders == "auto" else study.load.senders,
    )


def warm_profile(profile: LoadProfile) -> LoadProfile:
    """The load on a deployment that has served a burst before.

    Connections are new, so there is a warm-up that ends by the same rule. But it waits no longer
    than `WARM_SECONDS`: what varies after that is the load or the network, not a cold server.
    """
    longest = min(profile.spec.warmup_max_seconds, WARM_SECONDS)
    return replace(profile, spec=replace(profile.spec, warmup_max_seconds=longest))


def capacity_profile(study: StudySpec, configuration: Configuration) -> LoadProfile:
    """The open loop in which a capacity is searched for.

    It has connections enough for every replica, and Poisson arrivals where the study's load is a
    closed loop.
    """
    profile = load_profile(study, configuration)
    spec = profile.spec
    if spec.arrivals == "closed":
        spec = replace(spec, arrivals="poisson")
    connections = max(
        profile.concurrency, _CONNECTIONS_EACH * int(configuration.get("replicas", 1))
    )
    return replace(profile, concurrency=connections, spec=spec, rate_rps=FIRST_RATE)


def _protocol(study: StudySpec, configuration: Configuration) -> LoadProtocol:
    return cast(LoadProtocol, configuration.get("protocol", study.load.protocol))


def _placement(study: StudySpec, configuration: Configuration) -> NodePlacement:
    return cast(NodePlacement, configuration.get("placement", study.serving.placement))


def _server(study: StudySpec, configuration: Configuration) -> str:
    return str(configuration.get("server", study.serving.server))


class _Phases:
    """Seconds of each phase, and of what comes before the next begins."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None

    def begin(self, name: str) -> None:
        self.end()
        self._current = name, time.monotonic()
        self._observe(name)

    def end(self) -> dict[str, float]:
        if self._current is not None:
            name, since = self._current
            self._seconds[name] = round(time.monotonic() - since, 4)
            self._current = None
        return self._seconds
