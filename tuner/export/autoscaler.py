"""A HorizontalPodAutoscaler that keeps enough replicas for a rate of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Autoscaling:
    """From `min_replicas` to `max_replicas`, as many as keep CPU usage at `cpu_percent`.

    `cpu_percent` is the mean over all replicas, in % of the CPU that each requests.
    """

    min_replicas: int
    max_replicas: int
    cpu_percent: int


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
