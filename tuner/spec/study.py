"""The frozen, validated study specification that every other room works from.

`tuner.spec.load` makes it from YAML; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuner.spec.metrics import Direction
from tuner.spec.space import SearchSpace

Operator = Literal["<=", ">="]
SamplerName = Literal["tpe", "gp", "nsga2", "random", "qmc", "grid"]
PageCache = Literal["shared", "private"]


@dataclass(frozen=True)
class Objective:
    """What is minimised or maximised."""

    metric: str
    direction: Direction


@dataclass(frozen=True)
class Constraint:
    """What must hold, such as `p95_ms <= 80`. The bound is in the metric's unit."""

    metric: str
    operator: Operator
    bound: float

    def violation(self, value: float) -> float:
        """How far `value` is on the wrong side, in the metric's unit; zero or less if it holds."""
        return value - self.bound if self.operator == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.bound:g}"


@dataclass(frozen=True)
class ModelSpec:
    """A model to serve.

    `directory` holds `model.yaml` (and `build.py` where `tune` can build it); `built` is what
    `tune models build` wrote: `versions/<number>/saved_model.pb`, `golden.jsonl`, `card.json`.
    """

    name: str
    description: str
    directory: Path
    built: Path
    signature: str = "serving_default"
    tolerance: float = 1e-3
    """Largest absolute or relative difference of an answer from the golden one."""

    @property
    def versions(self) -> Path:
        """The directory that a server mounts at `/models/<name>`."""
        return self.built / "versions"

    @property
    def golden(self) -> Path:
        """JSON lines, each `{"request": <body of :predict>, "response": <expected body>}`."""
        return self.built / "golden.jsonl"


@dataclass(frozen=True)
class ServingSpec:
    """What runs in each replica.

    `image` is `tune` for the image that `tune image build` makes, otherwise an image reference
    such as `tensorflow/serving:2.19.1`. Both take TensorFlow Serving's flags and variables.
    """

    image: str = "tune"
    flags: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ready_seconds: float = 30.0
    page_cache: PageCache = "shared"


@dataclass(frozen=True)
class LoadSpec:
    """How a burst is sent; concurrency comes from the configuration.

    The window ends when the 95 % confidence interval of ART is within `precision` (a share of
    ART) after at least `min_seconds` and `min_requests`, or at `max_seconds`.
    """

    min_seconds: float = 2.0
    max_seconds: float = 8.0
    min_requests: int = 500
    precision: float = 0.05
    batch_seconds: float = 0.25
    warmup_max_seconds: float = 3.0
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class Budget:
    """How much may be spent: trials, seconds of wall time, or both (whichever ends first)."""

    trials: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class StudySpec:
    """One study as specified, bounds resolved for this host."""

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
    sampler: SamplerName
    seed: int


@dataclass(frozen=True)
class DeploymentSpec:
    """What one trial deploys: `replicas` containers with `cpu` cores and `memory_mib` MiB each."""

    model: ModelSpec
    serving: ServingSpec
    replicas: int
    cpu: float
    memory_mib: int


@dataclass(frozen=True)
class LoadProfile:
    """What one trial sends: a closed loop of `concurrency` connections, shaped by `spec`."""

    concurrency: int
    spec: LoadSpec
    seed: int
