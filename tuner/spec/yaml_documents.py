"""The three YAML documents as Pydantic models: which keys there are, and what each may hold.

The JSON Schemas and the tables of docs/reference/study.md are generated from the docstrings here.
`parameters` and `load` check what several keys mean together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from tuner.addresses import address_parts
from tuner.spec.expressions import (
    EXPECTED_CONDITION,
    EXPECTED_CONSTRAINT,
    EXPECTED_DURATION,
    check_metric,
    parse_condition,
    parse_constraint,
    parse_duration,
)
from tuner.spec.http_service import HttpAnswer, HttpMethod, HttpRequest, HttpService
from tuner.spec.metrics import BUILT_IN_METRICS, Direction
from tuner.spec.problems import UnexpectedError
from tuner.spec.space import ParameterType, Role
from tuner.spec.study import (
    AnswerSpec,
    Arrivals,
    CpuPlacementRule,
    EndpointSpec,
    Hosts,
    LoadProtocol,
    LoadSpec,
    ModelSpec,
    NodePlacement,
    PageCache,
    SamplerName,
    SearchSpec,
    SearchTarget,
    ServingSpec,
    StudySpec,
    UsageSpec,
)
from tuner.spec.study_files import NAME_PATTERN, name_expected


class Document(BaseModel):
    """Unknown keys are refused and nothing is converted: `"1"` is text, `1` a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _matching(pattern: str, expected: Callable[[str], str]) -> tuple[AfterValidator, Any]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UnexpectedError(expected(text), text)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": f"^{pattern}$"})


def _parse_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise UnexpectedError(f"a regular expression ({error})", text) from error


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnexpectedError("a number or an expression such as 'min(host.cpus, 4)'", value)
    return _finite(value)


def _scalar(value: object) -> object:
    if not isinstance(value, (bool, int, float, str)):
        raise UnexpectedError("a number, text, true or false", value)
    return _finite(value)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise UnexpectedError("a finite number", value)
    return value


def _text_of(parse: Callable[[str], object], expected: str) -> BeforeValidator:
    """Accepts a text that `parse` can read, and keeps it as text."""

    def check(text: object) -> object:
        if not isinstance(text, str):
            raise UnexpectedError(expected, text)
        parse(text)
        return text

    return BeforeValidator(check)


_name = _matching(NAME_PATTERN, name_expected)
_flag = _matching(
    "[A-Za-z][A-Za-z0-9_-]*", lambda _: "the name of a server flag without its dashes"
)
_env = _matching("[A-Za-z_][A-Za-z0-9_]*", lambda _: "the name of an environment variable")

_url_path = _matching("/[!-~]*", lambda _: "a path that begins with / and has no blank")
_user = _matching(r"[1-9]\d{0,9}:\d{1,10}", lambda _: "numbers such as '1000:1000', not root's")
_absolute = _matching("/[!-9;-~]+", lambda _: "an absolute path without blanks and colons")
_relative = _matching(r"(?!/)(?!.*\.\.)[ -~]+", lambda _: "a file beside model.yaml")
_header = _matching("[A-Za-z0-9-]+", lambda _: "the name of a header")
_line = _matching("[ -~]*", lambda _: "text of one line")

RelativePath = Annotated[str, _relative[0], _relative[1]]
HeaderName = Annotated[str, _header[0], _header[1]]
HeaderValue = Annotated[str, _line[0], _line[1]]
Name = Annotated[str, _name[0], _name[1]]
FlagName = Annotated[str, _flag[0], _flag[1]]
EnvName = Annotated[str, _env[0], _env[1]]
MetricName = Annotated[
    str,
    AfterValidator(check_metric),
    Field(json_schema_extra={"enum": list(BUILT_IN_METRICS)}),
]
Number = Annotated[int | float | str, BeforeValidator(_number)]
Scalar = Annotated[int | float | str | bool, BeforeValidator(_scalar)]
Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""Up to a day. A number without an end would take memory or time without an end."""
NotNegative = Annotated[float, Field(ge=0)]


class ParameterDocument(Document):
    """One dimension of the search space.

    The numbers of `default`, `choices`, `low`, `high` and `step` may be expressions of the host.
    """

    type: ParameterType
    """Whole numbers (`int`), numbers (`float`), or names without an order (`categorical`)."""

    role: Role
    """Who sets the value in production: you (`decision`) or the world (`scenario`)."""

    default: Scalar
    """The value in the baseline (trial 0); one of the parameter's values."""

    choices: Annotated[list[Scalar], Field(min_length=1)] | None = None
    """The values; numbers stand in ascending order. A single value pins the parameter."""

    low: Number | None = None
    """The smallest value. Smaller `choices` are left out."""

    high: Number | None = None
    """The largest value. Larger `choices` are left out."""

    step: Number | None = None
    """Distance between neighbouring values, from `low` on. Without it: 1 for int, any value for
    float."""

    log: bool = False
    """Search on a logarithmic scale. For a range without `step`."""

    unit: str = ""
    """The unit in tables and figures. Built-in parameters have their own."""

    description: str = ""
    """What the parameter is, in a few words."""

    flag: FlagName | None = None
    """The server flag, without dashes, that your own parameter sets."""

    env: EnvName | None = None
    """The environment variable that your own parameter sets."""

    when: Annotated[str, _text_of(parse_condition, EXPECTED_CONDITION)] | None = None
    """A condition on another parameter, such as `batching == true`. The parameter is left out of a
    configuration where it does not hold."""


class SearchSpaceDocument(Document):
    """A file in `search_spaces/`."""

    description: str = ""
    """What the space is for."""

    parameters: dict[str, ParameterDocument]
    """The parameters by name. Some built-in parameters are required."""


class _ContentDocument(Document):
    json_: Any = Field(default=None, alias="json")
    """It as JSON."""

    text: str | None = None
    """It as text."""

    file: RelativePath | None = None
    """It in a file, named from the directory of `model.yaml`."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        names = ("json_", "text", "file", "matches")
        given = [name for name in names if getattr(self, name, None) is not None]
        if len(given) > 1:
            raise UnexpectedError("one of json, text, file and matches", given[1], " as well")
        return self


class HttpAnswerDocument(_ContentDocument):
    """The right answer to a request. What says nothing of the body takes any."""

    status: Annotated[int, Field(ge=100, le=599)] = HttpAnswer.status
    """Its status."""

    matches: Annotated[str, _text_of(_parse_pattern, "a regular expression")] | None = None
    """A regular expression that occurs in it."""


class HttpRequestDocument(_ContentDocument):
    """A request to a service of your own."""

    path: Annotated[str, _url_path[0], _url_path[1]]
    """Its path, with a query if there is one."""

    method: HttpMethod = HttpRequest.method
    """Its method."""

    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """More headers. JSON has its `Content-Type` already."""

    answer: HttpAnswerDocument = HttpAnswerDocument()
    """The right answer."""


class HttpDocument(Document):
    """A service of your own."""

    image: Annotated[str, Field(min_length=1)]
    """The reference of its image, which the engine has or can pull."""

    port: Annotated[int, Field(ge=1, le=65535)]
    """The port at which it answers HTTP."""

    ready: Annotated[str, _url_path[0], _url_path[1]] = HttpService.ready
    """The path that answers 200 once it is ready."""

    entrypoint: list[str] = Field(default_factory=list)
    """The words with which it is started, in place of the image's entrypoint."""

    command: list[str] = Field(default_factory=list)
    """The words that follow the entrypoint. Flags of the study follow them. Where there is one of
    either, the command of the image itself is not used."""

    env: dict[EnvName, Scalar] = Field(default_factory=dict)
    """Its environment variables, besides those of the study."""

    user: Annotated[str, _user[0], _user[1]] = HttpService.user
    """The numbers of user and group that it runs as."""

    writable: list[Annotated[str, _absolute[0], _absolute[1]]] = Field(default_factory=list)
    """The paths that it may write to. They are in its memory, and empty when it starts."""

    health: list[str] = Field(default_factory=list)
    """A command inside the container that asks whether it is ready, for the health check of compose
    files. It gets `port` and `ready` as two more words, and ends with 0 where it is. Without it
    there is no check."""

    requests: Annotated[list[HttpRequestDocument], Field(min_length=1)]
    """The requests of a load, which are drawn at random. A replica must answer the first four of
    them rightly before it is used."""


class ModelDocument(Document):
    """`models/<name>/model.yaml`."""

    description: str = ""
    """What the model takes and what it answers."""

    signature: str = ModelSpec.signature
    """The signature of the SavedModel that requests call."""

    tolerance: Positive = ModelSpec.tolerance
    """How far a number in an answer may be from the golden answer, absolute or relative."""

    server: Annotated[str, Field(min_length=1)] | None = None
    """The server that serves it where a study names no other. By default `http` with a section
    `http`, otherwise `tensorflow-serving`."""

    http: HttpDocument | None = None
    """A service of your own in place of a model's files: any image that answers HTTP."""

    build: Annotated[str, Field(min_length=1)] = "build.py"
    """The script beside this file that builds the model. It is run as `build.py --output DIR`."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> ModelDocument:
        if self.http is not None and self.server not in {None, "http"}:
            raise UnexpectedError("the server http, as there is a section http", self.server)
        return self


class ServingDocument(Document):
    """What runs in each replica."""

    image: Annotated[str, Field(min_length=1)] | None = None
    """`tune` for the image that tune builds of the server, or an image reference such as
    `tensorflow/serving`. By default the image in `model.yaml`, or `tune`."""

    server: Annotated[str, Field(min_length=1)] | None = None
    """How the image is run, and how requests are sent to it. By default what `model.yaml` says:
    `tensorflow-serving`, or another server."""

    flags: dict[FlagName, Scalar] = Field(default_factory=dict)
    """Server flags, without dashes, that are the same in every trial."""

    env: dict[EnvName, Scalar] = Field(default_factory=dict)
    """Environment variables of the server that are the same in every trial."""

    ready_seconds: Seconds = ServingSpec.ready_seconds
    """How long a replica may take to become ready. After that its trial is infeasible."""

    page_cache: PageCache = ServingSpec.page_cache
    """Whose memory holds the pages of image and model files: that of one extra container (`shared`)
    or that of the replicas (`private`)."""

    placement: NodePlacement = ServingSpec.placement
    """With `--backend swarm`: replicas evenly on all nodes (`spread`), or on as few nodes as have
    the CPUs and memory for them (`pack`)."""


class LoadDocument(Document):
    """How a burst is sent. Its concurrency, and the rate of an open loop, are parameters."""

    min_seconds: Seconds = LoadSpec.min_seconds
    """The shortest measured window, in seconds."""

    max_seconds: Seconds = LoadSpec.max_seconds
    """The longest measured window, in seconds."""

    min_requests: Annotated[int, Field(ge=1, le=10**9)] = LoadSpec.min_requests
    """The fewest requests in the window. `max_seconds` ends the window all the same."""

    precision: Annotated[float, Field(gt=0, lt=1)] = LoadSpec.precision
    """The window ends when the 95 % interval of ART reaches no further than this share of ART to
    either side."""

    min_slow: Annotated[int, Field(ge=0, le=10**9)] = LoadSpec.min_slow
    """Where packets are lost, the window also waits for this many responses that a retransmission
    timeout delayed, until the study knows what these add to ART."""

    batch_seconds: Annotated[float, Field(ge=0.01, le=86_400)] = LoadSpec.batch_seconds
    """Length of the batches whose means give the interval of ART. Choose a multiple of 0.1."""

    warmup_max_seconds: Seconds = LoadSpec.warmup_max_seconds
    """The longest warm-up before the window, in seconds."""

    timeout_seconds: Seconds = LoadSpec.timeout_seconds
    """A request that has no answer after this many seconds is an error."""

    arrivals: Arrivals = LoadSpec.arrivals
    """`closed`: a connection sends its next request when it has its answer. `constant`, `poisson`:
    requests are due at the parameter `rate`, evenly or at random. `trace`: they are due as they
    were recorded."""

    cpu_placement: CpuPlacementRule = LoadSpec.cpu_placement
    """`apart`: the load engine runs on the last CPU (for several `senders`, on as many), and the
    replicas on the others. `shared`: all run on all CPUs. `auto`: `apart` on a host with 4 CPUs or
    more."""

    senders: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = LoadSpec.senders
    """How many processes send a burst together. `auto`: one (on each host, with `--senders-on`), or
    as few more as can send the highest `rate`, where the calibration says that these cannot."""

    protocol: LoadProtocol = LoadSpec.protocol
    """The server's REST API or its gRPC services. The parameter `protocol` overrides it."""

    max_foreign_percent: Annotated[float, Field(gt=0, le=100)] = LoadSpec.max_foreign_percent
    """A measurement is INVALID if other processes took more than this share of the host's CPU
    time."""

    latency_bound_ms: Positive | None = LoadSpec.latency_bound_ms
    """A request that takes no longer counts towards `goodput_rps`. By default the least bound of a
    constraint such as `p95_ms <= 80`."""

    requests: str = LoadSpec.requests
    """Recorded requests to send instead of the golden ones: JSON lines, a directory of bodies, a
    table (`.csv`, `.tsv`, `.parquet`), or a HAR file. The path starts at the study's directory."""

    template: str = LoadSpec.template
    """The request that a row of a table makes: JSON with `{column}` for its cells."""

    time_scale: Annotated[float, Field(gt=0, le=10_000)] = LoadSpec.time_scale
    """How many times as fast as it was recorded a trace is replayed. With the parameter `rate`,
    that is its mean rate instead."""

    @model_validator(mode="after")
    def _ordered(self) -> LoadDocument:
        if self.max_seconds < self.min_seconds:
            raise UnexpectedError(f"max_seconds of at least {self.min_seconds:g}", self.max_seconds)
        if self.batch_seconds > self.min_seconds:
            raise UnexpectedError(
                f"batch_seconds of at most {self.min_seconds:g}", self.batch_seconds
            )
        if self.template and not self.requests:
            raise UnexpectedError("requests, which the template is for", self.requests)
        return self


def _web_address(text: str) -> str:
    parts = address_parts(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        # What may be a password is not shown.
        raise UnexpectedError("an address such as http://127.0.0.1:9090", text.rpartition("@")[2])
    return text


class UsageDocument(Document):
    """Where CPU time and memory of an endpoint are counted. Without it, neither is known."""

    container: str = UsageSpec.container
    """The name of a container on the Docker Engine of this machine."""

    cgroup: str = UsageSpec.cgroup
    """The path of a control group, as in `/proc/PID/cgroup`."""

    prometheus: Annotated[str, AfterValidator(_web_address)] = UsageSpec.prometheus
    """The address of a Prometheus server, such as `http://127.0.0.1:9090`."""

    cpu: str = UsageSpec.cpu
    """The query for seconds of CPU time, such as
    `sum(container_cpu_usage_seconds_total{name="m"})`."""

    memory: str = UsageSpec.memory
    """The query for bytes of memory."""

    @model_validator(mode="after")
    def _one(self) -> UsageDocument:
        given = [key for key in ("container", "cgroup", "prometheus") if getattr(self, key)]
        if len(given) != 1:
            raise UnexpectedError("one of container, cgroup and prometheus", ", ".join(given))
        if bool(self.prometheus) != bool(self.cpu) or (self.memory and not self.prometheus):
            raise UnexpectedError("prometheus and the query cpu together", self.cpu)
        return self


class EndpointDocument(Document):
    """A service that is there already, which tune neither deploys nor limits."""

    url: Annotated[str, Field(min_length=1), AfterValidator(_web_address)]
    """Where requests are sent, such as `http://127.0.0.1:8501/v1/models/m:predict`."""

    apply: list[str] = Field(default_factory=list)
    """The command that switches the service to a configuration, as a list of its words; `{cpu}` is
    the value of the parameter `cpu`. It is run without a shell, in the study's directory. Exit code
    3 says that the configuration cannot serve, any other but 0 that it failed."""

    apply_seconds: Seconds = EndpointSpec.apply_seconds
    """How long that command may take."""

    ready_seconds: Seconds = EndpointSpec.ready_seconds
    """How long the service may take until it answers rightly. After that its trial is
    infeasible."""

    ca: str = EndpointSpec.ca
    """The file with the certificate of your own authority, for `https`. The path starts at the
    study's directory."""

    most_rps: Annotated[float, Field(gt=0, lt=1_000_000)] = EndpointSpec.most_rps
    """The most requests per second that are sent, whatever the load."""

    usage: UsageDocument | None = None
    """Where its CPU time and memory are counted."""


class PricesDocument(Document):
    """What reserved resources cost, in any one currency. The metric `cost_per_month` needs it."""

    core_hour: NotNegative
    """The price of one reserved core for an hour."""

    gib_hour: NotNegative
    """The price of one reserved GiB of memory for an hour."""

    @model_validator(mode="after")
    def _priced(self) -> PricesDocument:
        if not self.core_hour and not self.gib_hour:
            raise UnexpectedError("core_hour or gib_hour above 0", 0)
        return self


class ObjectiveDocument(Document):
    """An objective whose direction is given."""

    metric: MetricName
    """The metric to optimise."""

    direction: Direction | None = None
    """By default the direction in which the metric gets better."""


class BudgetDocument(Document):
    """When the study ends. Whichever limit is reached first counts."""

    trials: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """Number of trials, including the baseline."""

    time: Annotated[str, _text_of(parse_duration, EXPECTED_DURATION)] | None = None
    """Wall time, such as `15 min`, `90 s` or `1 h 30 min`."""

    @model_validator(mode="after")
    def _limited(self) -> BudgetDocument:
        if self.trials is None and self.time is None:
            raise UnexpectedError("trials, time or both", None)
        return self


def _kind(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<parts>"


ObjectiveEntry = Annotated[
    Annotated[MetricName, Tag("<text>")] | Annotated[ObjectiveDocument, Tag("<parts>")],
    Discriminator(_kind),
]
SpaceEntry = Annotated[
    Annotated[Name, Tag("<text>")] | Annotated[dict[str, ParameterDocument], Tag("<parts>")],
    Discriminator(_kind),
]


def _unique_objectives(entries: list[ObjectiveEntry]) -> list[ObjectiveEntry]:
    names = [entry if isinstance(entry, str) else entry.metric for entry in entries]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UnexpectedError("each objective once", repeated[0], " twice")
    return entries


class SearchDocument(Document):
    """How tune proposes configurations, and where it saves or repeats measurements."""

    sampler: SamplerName = SearchSpec.sampler
    """What proposes configurations. `bayes` is tune's own sampler, `grid` tries all configurations
    in random order, the others are Optuna's samplers."""

    target: SearchTarget = SearchSpec.target
    """What `bayes` improves: the front over all configurations (`overall`), the front of each
    scenario (`per-scenario`), or the decision that loses least in its worst scenario (`robust`)."""

    scenarios: list[Name] = Field(default_factory=list)
    """Scenario parameters. Each combination of their values has a front. By default all of them."""

    stay: bool = SearchSpec.stay
    """Reuse a deployment for the next trial if that trial needs the same one."""

    cut_short: bool = SearchSpec.cut_short
    """End a burst early once its configuration is surely dominated or surely breaks a constraint
    (pruning)."""

    confirm: Annotated[float, Field(ge=0, le=0.5)] = SearchSpec.confirm
    """The share of trials that measure candidates for the fronts again."""

    converged: Annotated[float, Field(ge=0, lt=1)] = SearchSpec.converged
    """End the study when a trial is expected to enlarge the hypervolume by less than this share. 0:
    never."""

    settled: Annotated[float, Field(ge=0, lt=1)] = SearchSpec.settled
    """With `bayes` and `per-scenario`: end the study when every scenario's recommendation has at
    least this probability that nothing else is better by more than `answer.margin`. 0: never."""


class AnswerDocument(Document):
    """What decides which configuration is recommended. It may change in a study that has begun."""

    margin: Annotated[float, Field(ge=0, le=0.5)] = AnswerSpec.margin
    """Configurations whose objectives differ by less than this share count as equal. Of equals,
    tune recommends the one that reserves least."""

    expected: dict[Name, Scalar] = Field(default_factory=dict)
    """The scenario that you expect: a value for each scenario parameter, such as `{concurrency: 4,
    loss: 0}`. What tune recommends first, and exports by default."""


class StudyDocument(Document):
    """`studies/<name>/study.yaml`."""

    description: str = ""
    """The question that the study answers."""

    model: Name | None = None
    """The model to serve: a directory in `models/`. Required, unless there is an `endpoint`."""

    endpoint: EndpointDocument | None = None
    """A service to measure that is there already, in place of a model."""

    search_space: SpaceEntry
    """The name of a file in `search_spaces/`, or the parameters themselves, by name."""

    serving: ServingDocument = ServingDocument()
    """What runs in each replica."""

    load: LoadDocument = LoadDocument()
    """How a burst is sent."""

    objectives: Annotated[
        list[ObjectiveEntry], Field(min_length=1), AfterValidator(_unique_objectives)
    ] = Field(default=["art_ms", "cpu_percent"])
    """The metrics to optimise. `{metric, direction}` states another direction than the usual
    one."""

    constraints: list[Annotated[str, _text_of(parse_constraint, EXPECTED_CONSTRAINT)]] = Field(
        default_factory=list
    )
    """Conditions that a configuration must meet (SLOs), such as `p95_ms <= 80`."""

    prices: PricesDocument | None = None
    """What reserved resources cost. It may be changed in a study that has begun."""

    budget: BudgetDocument
    """When the study ends."""

    baseline_every: Annotated[int, Field(ge=0, le=10**6)] = StudySpec.baseline_every
    """Measure the baseline again after this many trials, to detect that the host drifts. 0:
    never."""

    hosts: Hosts = StudySpec.hosts
    """`alike`: a host with another CPU model or number of CPUs than the study's trials had is
    refused. `any`: it takes part. How much more each kind of host takes is learned from the
    baseline, which each measures."""

    search: SearchDocument = SearchDocument()
    """How tune proposes configurations, and where it saves or repeats measurements."""

    answer: AnswerDocument = AnswerDocument()
    """What decides which configuration is recommended."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The seed of everything that tune draws at random."""
