"""A HorizontalPodAutoscaler that keeps enough replicas for a rate of requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuner.errors import InputError
from tuner.export.provenance import provenance
from tuner.export.served import Served
from tuner.measure.capacity import CAPACITY
from tuner.results.service_level import replicas_needed
from tuner.results.wording import counted, figure

HEADROOM = 0.8
"""The share of its capacity at which a replica is kept: new ones take time to become ready."""

_MOST_REPLICAS = 10_000


@dataclass(frozen=True)
class Autoscaling:
    """From `min_replicas` to `max_replicas`, as many as keep CPU usage at `cpu_percent`.

    `cpu_percent` is the average over all replicas, in % of the CPU that each requests. `notes` say
    where the numbers come from.
    """

    min_replicas: int
    max_replicas: int
    cpu_percent: int
    notes: tuple[str, ...] = ()


def autoscaling_for(served: Served, rate: float) -> Autoscaling:
    """The replicas of `served` that `rate` requests/s need, by the metric `capacity_rps`.

    A replica is kept at the share `HEADROOM` of the rate that it holds, the lower end of that
    metric's interval, and so at that share of the CPU that it used then. Raises InputError where
    the trial did not measure it, and for a rate that no number of replicas carries.
    """
    study, trial = served.study, served.trial
    capacity = provenance(study, trial).objectives.get(CAPACITY) or study.estimate(trial, CAPACITY)
    used = trial.metric("cpu_cores")
    if capacity is None or used is None:
        raise InputError(
            f"--autoscale needs {CAPACITY}, which trial {trial.number} did not measure",
            f"make {CAPACITY} an objective or a constraint of the study, and run it",
        )
    least = capacity.value if capacity.low is None else capacity.low
    one = least / served.replicas
    possible = 0 < rate < math.inf
    most = replicas_needed(rate / HEADROOM, capacity, served.replicas) if possible else None
    if most is None or most > _MOST_REPLICAS:
        raise InputError(
            f"--autoscale {rate:g} is no rate that 1 to {_MOST_REPLICAS} replicas carry:"
            f" one holds {figure(one)} requests/s",
            "give requests per second, above 0",
        )
    share = used.value / (served.replicas * served.cpu)
    return Autoscaling(
        min_replicas=1,
        max_replicas=max(1, most),
        cpu_percent=max(1, math.floor(100 * HEADROOM * share)),
        notes=(
            f"The autoscaler goes up to {counted(most, 'replica')}, for {rate:g} requests/s.",
            f"It keeps each at {100 * HEADROOM:.0f} % of the {figure(one)} requests/s that it",
            f"holds (the lower end of {CAPACITY}).",
        ),
    )


def autoscaler(metadata: Mapping[str, Any], scaling: Autoscaling) -> dict[str, Any]:
    """The autoscaler (autoscaling/v2) of the Deployment that has the name in `metadata`."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": dict(metadata),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": metadata["name"],
            },
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": scaling.cpu_percent,
                        },
                    },
                }
            ],
        },
    }
