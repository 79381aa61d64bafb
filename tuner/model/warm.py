"""What one study's model of the search space tells that of another (another model or host)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tuner.model.gp import LogNormal
from tuner.model.queue_prior import PARAMETERS
from tuner.spec.typed import typed

if TYPE_CHECKING:
    from tuner.model.surrogate import Surrogate

FADES = 40
"""After so many observations of its own a study believes itself as much as the other one."""

_DIFFERS: Mapping[str, float] = {
    "service_s": 1.2,
    "request_cores": 0.25,
    "idle_cores": 0.8,
    "host_cores": 0.5,
    "contention": 0.7,
    "delay_s": 0.8,
    "retransmission_s": 0.5,
}
"""Deviation of the logarithms of the queue's parameters from study to study: a guess."""
_LENGTHS_DIFFER = 0.35
_NOISE_DIFFERS = 0.4


@dataclass(frozen=True)
class Warm:
    """Of a fitted surrogate: the queue's parameters as (value, deviation of its logarithm), length
    scales by metric and parameter, between-burst noise by metric, and which prior mean each
    metric's length scales belong to.
    """

    queue: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    length_scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    trends: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Warm:
        """The inverse of `to_json`; other keys are left out.

        Raises WrongTypeError where `document` is not what it gave.
        """
        return typed(cls, document, ("warm_start",))

    def queue_priors(self, seen: int) -> Mapping[str, LogNormal]:
        """Priors of the queue's parameters for a study that has seen so many observations."""
        priors = dict(PARAMETERS)
        for name, (value, width) in self.queue.items():
            if name in priors:
                prior = LogNormal(value, math.hypot(width, _DIFFERS[name]))
                priors[name] = faded(prior, priors[name], seen)
        return priors

    def length(
        self, metric: str | None, trend: str, parameter: str, usual: LogNormal, seen: int
    ) -> LogNormal:
        """The prior of a length scale; `usual` where the other study does not know."""
        lengths = self.length_scales.get(metric or "", {})
        if self.trends.get(metric or "") != trend or parameter not in lengths:
            return usual
        return faded(LogNormal(lengths[parameter], _LENGTHS_DIFFER), usual, seen)

    def between_bursts(self, metric: str | None, usual: LogNormal, seen: int) -> LogNormal:
        """The prior of the between-burst deviation."""
        if metric is None or metric not in self.noise:
            return usual
        return faded(LogNormal(self.noise[metric], _NOISE_DIFFERS), usual, seen)


def faded(warm: LogNormal, usual: LogNormal, seen: int) -> LogNormal:
    """From `warm` towards `usual` as a study sees more of its own."""
    share = FADES / (FADES + seen)
    # The usual prior is never widened, and neither centre is left without being in reach.
    return LogNormal(
        math.exp(share * math.log(warm.median) + (1 - share) * math.log(usual.median)),
        share * min(warm.width, usual.width) + (1 - share) * usual.width,
    )


def warm_from(surrogate: Surrogate) -> Warm:
    """What another study may begin with."""
    # A queue that explains no objective has nothing to tell.
    fit = surrogate.queue_fit if "queue" in surrogate.trends else None
    return Warm(
        {} if fit is None else {n: (v, fit.widths[n]) for n, v in fit.parameters.items()},
        surrogate.length_scales,
        dict(zip(surrogate.metrics, map(float, surrogate.noise_sd), strict=True)),
        dict(zip(surrogate.metrics, surrogate.trends, strict=True)),
    )
