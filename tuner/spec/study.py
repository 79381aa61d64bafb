"""The validated study specification, frozen. `tuner.spec.load` makes it from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast

from tuner.spec.http_service import HttpService
from tuner.spec.metrics import PERCENTILES, Direction
from tuner.spec.space import Configuration, SearchSpace, Value

Operator = Literal["<=", ">="]
SamplerName = Literal["bayes", "tpe", "gp", "nsga2", "random", "qmc", "grid"]
SearchTarget = Literal["overall", "per-scenario", "robust"]
PageCache = Literal["shared", "private"]
Arrivals = Literal["closed", "constant", "poisson", "trace"]
CpuPlacementRule = Literal["auto", "apart", "shared"]
SenderCount = int | Literal["auto"]
LoadProtocol = Literal["rest", "grpc"]
Hosts = Literal["alike", "any"]
NodePlacement = Literal["spread", "pack"]


@dataclass(frozen=True)
class Objective:
    """What is minimised or maximised."""

    metric: str
    direction: Direction


@dataclass(frozen=True)
class Constraint:
    """A condition such as `p95_ms <= 80` (an SLO). The bound is in the metric's unit."""

    metric: str
    operator: Operator
    bound: float

    def violation(self, value: float) -> float:
        """How far `value` violates the constraint, in the metric's unit; zero or less where it
        holds.
        """
        return value - self.bound if self.operator == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.bound:g}"


@dataclass(frozen=True)
class ModelSpec:
    """A model to serve.

    `directory` holds `model.yaml` (and `build.py` where `tune` can build it); `built` is what
    `tune models build` wrote: `versions/<number>/` with the model's files, `golden.jsonl`,
    `card.json`.
    """

    name: str
    description: str
    directory: Path
    built: Path
    signature: str = "serving_default"
    tolerance: float = 1e-3
    """Largest absolute or relative difference of an answer from the golden one."""
    server: str = "tensorflow-serving"
    """The server that serves it where a study names no other."""
    http: HttpService | None = None
    """The service that the model is, where the server is `http`: it is inside an image then."""
    version: str | None = None
    """The version that is served, where that is known without the files."""

    @property
    def versions(self) -> Path:
        """The directory that is mounted where the server looks for versions of the model."""
        return self.built / "versions"

    @property
    def golden(self) -> Path:
        """JSON lines, each `{"request": <body>, "response": <expected body>}`."""
        return self.built / "golden.jsonl"


@dataclass(frozen=True)
class ServingSpec:
    """What runs in each replica.

    `image` is `tune` for the image that `tune image build` makes of the server, otherwise an image
    reference such as `tensorflow/serving:2.19.1`.
    """

    image: str = "tune"
    server: str = ModelSpec.server
    """How the image is run, and how requests are sent to it: `tuner.serving.servers`."""
    flags: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ready_seconds: float = 30.0
    page_cache: PageCache = "shared"
    placement: NodePlacement = "spread"
    """How replicas are placed on the nodes of a swarm: evenly, or on as few as hold them."""

    @property
    def flag_words(self) -> tuple[str, ...]:
        """The flags as words of a command line."""
        return tuple(f"--{name}={value}" for name, value in self.flags.items())

    @classmethod
    def of(cls, model: ModelSpec, image: str | None = None, server: str | None = None) -> Self:
        """What serves a model; `image` and `server` where they are others than its own."""
        own = "tune" if model.http is None else model.http.image
        return cls(image=image or own, server=server or model.server)


@dataclass(frozen=True)
class UsageSpec:
    """Where the CPU time and memory of an endpoint are counted; nowhere where all is empty.

    `container` is the name of one on this machine's engine, `cgroup` a path as in
    `/proc/PID/cgroup`, `prometheus` the address of a server that answers the queries `cpu` (seconds
    of CPU time) and `memory` (bytes).
    """

    container: str = ""
    cgroup: str = ""
    prometheus: str = ""
    cpu: str = ""
    memory: str = ""


@dataclass(frozen=True)
class EndpointSpec:
    """A service that is there already, which `tune` neither deploys nor limits.

    `apply` is the command that switches its configuration, with `{name}` for the value of a
    parameter; empty where nothing can be switched. `ca` is the file of the authority that signed
    the certificate of an `https` address. At most `most_rps` requests are sent a second.
    """

    url: str
    apply: tuple[str, ...] = ()
    apply_seconds: float = 60.0
    ready_seconds: float = 30.0
    ca: str = ""
    most_rps: float = 10_000.0
    usage: UsageSpec = UsageSpec()


@dataclass(frozen=True)
class LoadSpec:
    """How a burst is sent; concurrency (and the rate of an open loop) is the configuration's.

    The window ends when the 95 % confidence interval of ART is within `precision` (a share of
    ART) after at least `min_seconds` and `min_requests`, or at `max_seconds`. Where packets are
    lost it also waits for `min_slow` responses that a retransmission timeout delayed, until the
    study knows what these add.
    """

    min_seconds: float = 2.0
    max_seconds: float = 8.0
    min_requests: int = 500
    precision: float = 0.05
    min_slow: int = 50
    batch_seconds: float = 0.3
    warmup_max_seconds: float = 3.0
    timeout_seconds: float = 10.0
    arrivals: Arrivals = "closed"
    cpu_placement: CpuPlacementRule = "auto"
    senders: SenderCount = "auto"
    """How many processes send a burst together."""
    protocol: LoadProtocol = "rest"
    """The protocol of requests where the search space has no parameter `protocol`."""
    max_foreign_percent: float = 25.0
    """A measurement is INVALID where other processes took more than this share of the host's
    CPU."""
    latency_bound_ms: float | None = None
    """What a request must keep to count as goodput; None for the bound of a constraint."""
    requests: str = ""
    """Where the requests were recorded, as seen from the study's directory; empty for the golden
    ones."""
    template: str = ""
    """What makes requests of a table's rows."""
    time_scale: float = 1.0
    """How many times as fast as recorded a trace is replayed, where no parameter sets its rate."""


@dataclass(frozen=True)
class Prices:
    """What a reserved core and a reserved GiB cost per hour, in any one currency."""

    core_hour: float
    gib_hour: float


@dataclass(frozen=True)
class Budget:
    """The limits of a study: trials, seconds of wall time, or both. The first one reached
    counts.
    """

    trials: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class SearchSpec:
    """How configurations are proposed, and where measurements are saved or repeated.

    `target` is what the sampler `bayes` improves: the front over all configurations (`overall`),
    the front of every scenario (`per-scenario`), or the decision that loses least against the best
    of its worst scenario (`robust`, minimax regret). A scenario is a combination of values of the
    parameters `scenarios`, or of all scenario parameters where that is empty.
    """

    sampler: SamplerName = "bayes"
    target: SearchTarget = "per-scenario"
    scenarios: tuple[str, ...] = ()
    stay: bool = True
    """Whether the next trial reuses a deployment where it needs the same one."""
    cut_short: bool = True
    """Whether a burst ends once its configuration is surely dominated or breaks a constraint."""
    confirm: float = 0.1
    """The share of trials that measure candidates for the fronts again."""
    converged: float = 0.0
    """The study ends when a trial is expected to enlarge the hypervolume by less than this share;
    never for 0."""
    settled: float = 0.8
    """With `bayes` and the target `per-scenario` the study ends when every scenario's
    recommendation has at least this probability that nothing else is better by more than the
    margin; never for 0."""


@dataclass(frozen=True)
class AnswerSpec:
    """What decides which configuration is recommended.

    Configurations whose objectives differ by less than `margin`, a share, count as equal.
    `expected` is the scenario that the user expects: values of scenario parameters by name, none
    where no one scenario is expected.
    """

    margin: float = 0.05
    expected: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class StudySpec:
    """One study, its bounds resolved for this host."""

    name: str
    description: str
    path: Path
    model: ModelSpec
    search_space: SearchSpace
    serving: ServingSpec
    load: LoadSpec
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    budget: Budget
    seed: int
    search: SearchSpec = SearchSpec()
    answer: AnswerSpec = AnswerSpec()
    baseline_every: int = 10
    """The baseline is measured again after this many trials; never for 0."""
    hosts: Hosts = "alike"
    """Whether workers on hosts with other CPUs may take part."""
    prices: Prices | None = None
    endpoint: EndpointSpec | None = None
    """What is measured where nothing is deployed; `model` and `serving` do not matter then."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that a trial must measure: of the objectives, then of the constraints."""
        names = [*(o.metric for o in self.objectives), *(c.metric for c in self.constraints)]
        return tuple(dict.fromkeys(names))

    @property
    def latency_bound_ms(self) -> float | None:
        """What a request must keep to count as goodput; None where nothing says it.

        Of several constraints on percentiles it is the least bound: a request that keeps it keeps
        them all.
        """
        bounds = [
            c.bound for c in self.constraints if c.metric in PERCENTILES and c.operator == "<="
        ]
        return self.load.latency_bound_ms or min(bounds, default=None)

    def protocols(self) -> tuple[LoadProtocol, ...]:
        """The protocols in which its trials send, the baseline's first."""
        names = self._values("protocol", self.load.protocol)
        return tuple(cast(LoadProtocol, name) for name in names)

    def servers(self) -> tuple[str, ...]:
        """The names of the servers that its trials deploy, the baseline's first."""
        return self._values("server", self.serving.server)

    def _values(self, name: str, otherwise: str) -> tuple[str, ...]:
        """The names that a parameter may be, its default first."""
        parameter = next((p for p in self.search_space if p.name == name), None)
        if parameter is None:
            return (otherwise,)
        # A configuration in which the parameter is inactive has the study's own.
        names = (parameter.default, *(parameter.choices or ()), otherwise)
        return tuple(str(name) for name in dict.fromkeys(names))


@dataclass(frozen=True)
class DeploymentSpec:
    """What one trial deploys: `replicas` containers with `cpu` cores and `memory_mib` MiB each.

    `protocol` is that of the requests.
    """

    model: ModelSpec
    serving: ServingSpec
    replicas: int
    cpu: float
    memory_mib: int
    protocol: LoadProtocol = "rest"


@dataclass(frozen=True)
class NetworkSpec:
    """How bad the link of each replica is.

    Losses are in percent of the packets; `in` is the direction towards the replica. `delay_ms` is
    added in each direction, with the standard deviation `jitter_ms` (without effect where the delay
    is 0). `bandwidth_mbit` limits each direction, in Mbit/s; None is no limit.
    """

    loss_in: float = 0.0
    loss_out: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    bandwidth_mbit: float | None = None

    @classmethod
    def of(cls, configuration: Configuration) -> NetworkSpec:
        """The network of a configuration. `loss` holds for each direction that it does not name."""

        def number(name: str, absent: float) -> float:
            return float(configuration.get(name, absent))

        loss = number("loss", 0.0)
        return cls(
            loss_in=number("loss_in", loss),
            loss_out=number("loss_out", loss),
            delay_ms=number("delay", 0.0),
            jitter_ms=number("jitter", 0.0),
            bandwidth_mbit=number("bandwidth", 0.0) or None,
        )

    @property
    def lossy(self) -> bool:
        return self.loss_in > 0 or self.loss_out > 0

    @property
    def shaped(self) -> bool:
        """Whether it has a delay or a limited bandwidth, for which dropping packets is not
        enough.
        """
        return self.delay_ms > 0 or self.bandwidth_mbit is not None

    @property
    def clean(self) -> bool:
        return not self.lossy and not self.shaped


@dataclass(frozen=True)
class KnownLoss:
    """What lost packets add to the mean response time, with its standard error, both in ms."""

    mean_ms: float
    error_ms: float


@dataclass(frozen=True)
class LoadProfile:
    """The load of one trial, sent as `spec` says.

    Without `rate_rps` it is a closed loop of `concurrency` connections, each with one request in
    flight. With `rate_rps` it is an open loop: requests are due at that rate, whatever the server
    does. At most `concurrency` are in flight; a request that finds no free connection waits, and
    its response time counts from when it was due. `gaps` are those of a trace that is replayed, one
    before each request, of mean 1 (`tuner.load.trace`). `server` is the name of who is asked,
    `senders` the number of processes that send together.
    `lossy` says that packets will be lost, `known_loss` what the study knows already of what that
    adds to ART.
    """

    concurrency: int
    spec: LoadSpec
    seed: int
    rate_rps: float | None = None
    lossy: bool = False
    protocol: LoadProtocol = "rest"
    server: str = ServingSpec.server
    known_loss: KnownLoss | None = None
    gaps: tuple[float, ...] = ()
    senders: int = 1


@dataclass(frozen=True)
class Stage:
    """A part of an exploring burst: the level goes from `start` to `end` within `seconds`.

    The level is the number of connections of a closed loop, or the requests per second of an open
    one. A step has `start` = `end`.
    """

    seconds: float
    start: float
    end: float
