"""What a trial costs, as the trials so far say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tuner.model.observations import Observation

_DEPLOY_SECONDS = 4.0
_BURST_SECONDS = 4.0
"""What is expected while nothing is known."""


@dataclass(frozen=True)
class Costs:
    """Seconds of a new deployment, and of a burst with all else that each trial takes."""

    deploy: float
    burst: float

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Costs:
        """Medians of what the trials took; those that stayed on a deployment say nothing of it."""
        deploys = [o.deploy_seconds for o in observations]
        bursts = [o.burst_seconds for o in observations]
        return cls(
            _median([s for s in deploys if s], _DEPLOY_SECONDS),
            max(_median([s for s in bursts if s is not None], _BURST_SECONDS), 1e-3),
        )


def _median(seconds: Sequence[float], default: float) -> float:
    return median(seconds) if seconds else default
