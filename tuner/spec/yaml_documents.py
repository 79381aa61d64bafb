"""The shape of the three YAML documents, as Pydantic models.

They say which keys there are and what kind of value each takes; the JSON Schemas and the tables
of docs/reference/study.md are made from them. What values mean together is checked in
`parameters` and `load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

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

from tuner.spec.expressions import (
    EXPECTED_CONDITION,
    EXPECTED_CONSTRAINT,
    EXPECTED_DURATION,
    check_metric,
    parse_condition,
    parse_constraint,
    parse_duration,
)
from tuner.spec.metrics import METRICS, Direction
from tuner.spec.places import NAME_EXPECTED, NAME_PATTERN
from tuner.spec.problems import UnexpectedError
from tuner.spec.space import ParameterType, Role
from tuner.spec.study import (
    Arrivals,
    LoadProtocol,
    LoadSpec,
    ModelSpec,
    PageCache,
    Placement,
    SamplerName,
    SearchSpec,
    SearchTarget,
    ServingSpec,
    StudySpec,
)


class Document(BaseModel):
    """Unknown keys are refused and nothing is converted: `"1"` is text, `1` a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _matching(pattern: str, expected: str) -> tuple[AfterValidator, Any]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UnexpectedError(expected, text)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": f"^{pattern}$"})


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnexpectedError("a number or an expression such as 'min(host.cpus, 4)'", value)
    return value


def _scalar(value: object) -> object:
    if not isinstance(value, (bool, int, float, str)):
        raise UnexpectedError("a number, text, true or false", value)
    return value


def _text_of(parse: Callable[[str], object], expected: str) -> BeforeValidator:
    """Accepts a text that `parse` can read, and keeps it as text."""

    def check(text: object) -> object:
        if not isinstance(text, str):
            raise UnexpectedError(expected, text)
        parse(text)
        return text

    return BeforeValidator(check)


_name = _matching(NAME_PATTERN, NAME_EXPECTED)
_flag = _matching("[A-Za-z][A-Za-z0-9_]*", "the name of a server flag without its dashes")
_env = _matching("[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")

Name = Annotated[str, _name[0], _name[1]]
FlagName = Annotated[str, _flag[0], _flag[1]]
EnvName = Annotated[str, _env[0], _env[1]]
MetricName = Annotated[
    str,
    AfterValidator(check_metric),
    Field(json_schema_extra={"enum": list(METRICS)}),
]
Number = Annotated[int | float | str, BeforeValidator(_number)]
Scalar = Annotated[int | float | str | bool, BeforeValidator(_scalar)]
Positive = Annotated[float, Field(gt=0)]


class ParameterDocument(Document):
    """One dimension of the search space.

    The numbers of `default`, `choices`, `low`, `high` and `step` may be expressions of the host.
    """

    type: ParameterType
    """What the values are: whole numbers, numbers, or names without order."""

    role: Role
    """Who chooses the value in production: the user (`decision`) or the world (`scenario`)."""

    default: Scalar
    """The value of the baseline, trial 0; one of the parameter's values."""

    choices: Annotated[list[Scalar], Field(min_length=1)] | None = None
    """The values, numbers ascending. A single one pins the parameter."""

    low: Number | None = None
    """The smallest value. With `choices`: smaller ones are left out."""

    high: Number | None = None
    """The largest value. With `choices`: larger ones are left out."""

    step: Number | None = None
    """Distance of neighbouring values from `low` on; 1 for int, a continuum for float if absent."""

    log: bool = False
    """Whether factors matter rather than differences; for a range without `step`."""

    unit: str = ""
    """The unit, for tables and figures. Built-in parameters have theirs."""

    description: str = ""
    """What it is, in a few words."""

    flag: FlagName | None = None
    """The server flag, without dashes, that a parameter of your own sets."""

    env: EnvName | None = None
    """The environment variable that a parameter of your own sets."""

    when: Annotated[str, _text_of(parse_condition, EXPECTED_CONDITION)] | None = None
    """The condition on another parameter, such as `batching == true`, under which it is there."""


class SearchSpaceDocument(Document):
    """A file in `search_spaces/`."""

    description: str = ""
    """What the space is for."""

    parameters: dict[str, ParameterDocument]
    """The parameters by name; some of the built-in ones must be there."""


class ModelDocument(Document):
    """`models/<name>/model.yaml`."""

    description: str = ""
    """What the model takes and answers."""

    signature: str = ModelSpec.signature
    """The SavedModel's signature that requests call."""

    tolerance: Positive = ModelSpec.tolerance
    """Largest absolute or relative difference of an answer from the golden one."""

    build: Annotated[str, Field(min_length=1)] = "build.py"
    """The script beside this file that builds the model: `build.py --output DIR`."""


class ServingDocument(Document):
    """What runs in each replica."""

    image: Annotated[str, Field(min_length=1)] = ServingSpec.image
    """`tune` for the image that tune builds, else a reference such as `tensorflow/serving`."""

    flags: dict[FlagName, Scalar] = Field(default_factory=dict)
    """Flags of the server, without dashes, the same in every trial."""

    env: dict[EnvName, Scalar] = Field(default_factory=dict)
    """Environment variables of the server, the same in every trial."""

    ready_seconds: Positive = ServingSpec.ready_seconds
    """A replica that is not ready after this many seconds makes its trial infeasible."""

    page_cache: PageCache = ServingSpec.page_cache
    """Who pays for file pages: one keeper for all trials (`shared`) or each replica (`private`)."""


class LoadDocument(Document):
    """How a burst is sent; its concurrency (and the rate of an open loop) is a parameter."""

    min_seconds: Positive = LoadSpec.min_seconds
    """The measured window lasts at least this long."""

    max_seconds: Positive = LoadSpec.max_seconds
    """The measured window lasts at most this long."""

    min_requests: Annotated[int, Field(ge=1)] = LoadSpec.min_requests
    """The window has at least this many requests, unless `max_seconds` is over."""

    precision: Annotated[float, Field(gt=0, lt=1)] = LoadSpec.precision
    """The window ends when the 95 % interval of ART is this share of ART to either side."""

    min_slow: Annotated[int, Field(ge=0)] = LoadSpec.min_slow
    """Where packets are lost: so many responses that a retransmission timeout delayed, as well."""

    batch_seconds: Positive = LoadSpec.batch_seconds
    """Length of the batches whose means give that interval; a multiple of 0.1 is best."""

    warmup_max_seconds: Positive = LoadSpec.warmup_max_seconds
    """The warm-up before the window lasts at most this long."""

    timeout_seconds: Positive = LoadSpec.timeout_seconds
    """A request without an answer after this long is an error."""

    arrivals: Arrivals = LoadSpec.arrivals
    """`closed`: each connection sends when its answer is there; else requests are due at `rate`."""

    placement: Placement = LoadSpec.placement
    """`apart`: the load engine has the last CPU, replicas the others; `auto`: so from 4 CPUs on."""

    protocol: LoadProtocol = LoadSpec.protocol
    """TensorFlow Serving's REST API (port 8501) or gRPC (port 8500); a parameter overrides it."""

    max_foreign_percent: Annotated[float, Field(gt=0, le=100)] = LoadSpec.max_foreign_percent
    """A measurement during which others took more of the host's CPU time is INVALID."""

    @model_validator(mode="after")
    def _ordered(self) -> LoadDocument:
        if self.max_seconds < self.min_seconds:
            raise UnexpectedError(f"max_seconds of at least {self.min_seconds:g}", self.max_seconds)
        if self.batch_seconds > self.min_seconds:
            raise UnexpectedError(
                f"batch_seconds of at most {self.min_seconds:g}", self.batch_seconds
            )
        return self


class ObjectiveDocument(Document):
    """An objective whose direction is given."""

    metric: MetricName
    """The metric that is optimised."""

    direction: Direction | None = None
    """By default the direction in which the metric is better."""


class BudgetDocument(Document):
    """When the study ends: whichever comes first."""

    trials: Annotated[int, Field(ge=1)] | None = None
    """Number of trials, the baseline included."""

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
    """How configurations are proposed, and where measurements are saved or spent again."""

    sampler: SamplerName = SearchSpec.sampler
    """What proposes configurations: `bayes` is tune's own, `grid` all of them in random order, the
    others are Optuna's."""

    target: SearchTarget = SearchSpec.target
    """What `bayes` improves: the front over everything (`overall`), each scenario's front
    (`per-scenario`), or the decision with the least regret in its worst scenario (`robust`)."""

    scenarios: list[Name] = Field(default_factory=list)
    """The scenario parameters whose combinations of values each have a front; all by default."""

    stay: bool = SearchSpec.stay
    """Keep a deployment up for the next trial where that needs the same one."""

    cut_short: bool = SearchSpec.cut_short
    """End a burst as soon as its configuration is surely dominated or surely breaks an SLO."""

    confirm: Annotated[float, Field(ge=0, le=0.5)] = SearchSpec.confirm
    """The share of the trials that measures candidates for the fronts again."""

    converged: Annotated[float, Field(ge=0, lt=1)] = SearchSpec.converged
    """End early when a trial is expected to enlarge the hypervolume by less than this share."""


class StudyDocument(Document):
    """`studies/<name>/study.yaml`."""

    description: str = ""
    """What the study is to find out."""

    model: Name
    """The model to serve: a directory in `models/`."""

    search_space: SpaceEntry
    """The name of a file in `search_spaces/`, or the parameters themselves by name."""

    serving: ServingDocument = ServingDocument()
    """What runs in each replica."""

    load: LoadDocument = LoadDocument()
    """How a burst is sent."""

    objectives: Annotated[
        list[ObjectiveEntry], Field(min_length=1), AfterValidator(_unique_objectives)
    ] = Field(default=["art_ms", "cpu_percent"])
    """What is optimised: metrics, or `{metric, direction}` for the other direction."""

    constraints: list[Annotated[str, _text_of(parse_constraint, EXPECTED_CONSTRAINT)]] = Field(
        default_factory=list
    )
    """What must hold, such as `p95_ms <= 80`."""

    budget: BudgetDocument
    """When the study ends."""

    baseline_every: Annotated[int, Field(ge=0)] = StudySpec.baseline_every
    """After so many trials the baseline is measured again, to see a drift of the host; 0: never."""

    search: SearchDocument = SearchDocument()
    """How configurations are proposed, and where measurements are saved or spent again."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of everything random but the world itself."""
