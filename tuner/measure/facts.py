"""What else is said of trials and runs: open mappings, of which these parts are read elsewhere.

Whoever makes such a mapping may put more into it, to be shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt

_Texts = tuple[str, ...]


@dataclass(frozen=True)
class HostFacts:
    """The machine of a run."""

    name: str | None = None
    cpu: str | None = None
    cpus: Annotated[float, Gt(0)] | None = None
    memory_mib: float | None = None
    kernel: str | None = None


@dataclass(frozen=True)
class ReplayedFacts:
    """The recorded grid that a run was served from."""

    study: str = ""
    backend: str = ""
    recorded: _Texts = ()
    trials: int = 0
    passes: int = 0


@dataclass(frozen=True)
class ImageFacts:
    """The image of one of several servers."""

    image: str
    image_id: str | None = None


@dataclass(frozen=True)
class EnvironmentFacts:
    """`StudyRecord.environment`: host, engine, image and model of a run."""

    backend: str = ""
    host: HostFacts = HostFacts()
    replayed: ReplayedFacts = ReplayedFacts()
    engine: str | None = None
    image: str | None = None
    image_id: str | None = None
    images: Mapping[str, ImageFacts] | None = None
    model_checksum: str | None = None
    model_version: str | None = None
    page_cache: str | None = None


@dataclass(frozen=True)
class LimitFacts:
    """The limits of a replica, as the engine applied them."""

    cpu: Annotated[float, Ge(0)] | None = None


@dataclass(frozen=True)
class DeploymentFacts:
    """`TrialRecord.deployment`."""

    limits: tuple[LimitFacts, ...] | None = None
    stayed: bool | None = None
    since: str | None = None
    memory_peak_since: str | None = None


@dataclass(frozen=True)
class DroppedFacts:
    """What one rule saw of the packets of a replica in one direction, and dropped."""

    packets: Annotated[int, Ge(0)]
    dropped: int
    replica: Any = None
    direction: str | None = None
    asked_percent: float | None = None
    """This and the direction are unknown in records of format 1."""


@dataclass(frozen=True)
class ImpairmentFacts:
    """`TrialRecord.impairment`."""

    method: str | None = None
    rules: tuple[DroppedFacts, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ProposalFacts:
    """`TrialRecord.why`: what the sampler said of its proposal."""

    reason: str | None = None
    mean: tuple[float, ...] | None = None
    sd: tuple[float, ...] | None = None
    feasible: float | None = None
    acquisition: float | None = None


@dataclass(frozen=True)
class WarmFacts:
    """`StudyRecord.warm_start`: what `tuner.model.warm` passed on from another study."""

    queue: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    length_scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    trends: Mapping[str, str] = field(default_factory=dict)
