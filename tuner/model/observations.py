"""What finished trials say to a model of the search space: one observation per burst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tuner.spec.space import Configuration

OBSERVED = "observed"
"""Attribute of a trial: what a sampler wants to know beside values and constraints (`Noise`)."""

WHY = "why"
"""Attribute of a trial: why a sampler proposed it, a JSON document."""

OWNER = "owner"
"""Attribute of a trial: the worker whose it is."""

SERVES = "serves"
"""The constraint that says whether a configuration could serve at all: above zero it could not."""


@dataclass(frozen=True)
class Noise:
    """How well a trial's values are known, and what it cost; stored under `OBSERVED`.

    `relative_sd` has the standard error of each objective as a share of its value, from the
    measurement's own interval; None where it has none. `cut_short` says that the burst was ended
    early, since its configuration was surely no candidate. `imputed` values are stand-ins.
    `deploy_seconds` is what bringing up and tearing down took, 0 where the deployment stayed up
    from the trial before; `burst_seconds` is all the rest.
    """

    relative_sd: tuple[float | None, ...] = ()
    cut_short: bool = False
    imputed: bool = False
    deploy_seconds: float | None = None
    burst_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Noise:
        return cls(**{**document, "relative_sd": tuple(document.get("relative_sd", ()))})


@dataclass(frozen=True)
class Observation:
    """One burst of a configuration.

    `values` are the objectives in their units and the study's order; None where the configuration
    could not serve at all. `violations` maps each constraint's text to how far it is broken (zero
    or less: it holds).
    """

    number: int
    configuration: Configuration
    values: tuple[float, ...] | None
    violations: Mapping[str, float] = field(default_factory=dict)
    noise: Noise = Noise()
