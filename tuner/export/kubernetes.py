"""One configuration as Kubernetes objects: Deployment, Service, and what several replicas need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.export.autoscaler import autoscaler
from tuner.export.pod import pod_spec, ports
from tuner.export.workload import ClusterWorkload
from tuner.spec.yaml_text import yaml_texts

FILES = tuple(
    f"{kind}.yaml"
    for kind in ("deployment", "service", "poddisruptionbudget", "horizontalpodautoscaler")
)
"""The names that the objects have as files: `file_of`."""


def file_of(made: Mapping[str, Any]) -> str:
    """The name of the file of an object."""
    return f"{made['kind'].lower()}.yaml"


def to_kubernetes(workload: ClusterWorkload) -> str:
    """The objects of `workload` as a stream of YAML documents.

    Raises InputError where Kubernetes would refuse a value of the study.
    """
    return f"{workload.header()}\n{yaml_texts(objects(workload))}"


def objects(workload: ClusterWorkload) -> list[dict[str, Any]]:
    """The Deployment first, which says where all of them come from."""
    made = [_deployment(workload), _service(workload)]
    if workload.most_replicas > 1:
        made.append(_budget(workload))
    if workload.autoscaling is not None:
        made.append(autoscaler(workload.metadata, workload.autoscaling))
    return made


def _deployment(workload: ClusterWorkload) -> dict[str, Any]:
    # An autoscaler sets the number. Written here, each `kubectl apply` would set it back.
    count = {} if workload.autoscaling else {"replicas": workload.served.replicas}
    annotations = {"annotations": workload.scraped} if workload.scraped else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**workload.metadata, "annotations": workload.origin},
        "spec": {
            **count,
            "selector": {"matchLabels": workload.selected},
            "template": {
                "metadata": {"labels": workload.labels, **annotations},
                "spec": pod_spec(workload),
            },
        },
    }


def _service(workload: ClusterWorkload) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": workload.metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": workload.selected,
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
                for name, port in ports(workload.served).items()
            ],
        },
    }


def _budget(workload: ClusterWorkload) -> dict[str, Any]:
    """Draining nodes stops one replica at a time, while the others carry the load."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": workload.metadata,
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": workload.selected}},
    }
