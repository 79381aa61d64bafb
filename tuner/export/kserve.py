"""One configuration as an InferenceService of KServe, in its mode without Knative."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuner.errors import InputError
from tuner.export.pod import pod_spec
from tuner.export.workload import ClusterWorkload, Fetched
from tuner.spec.yaml_text import yaml_text

_CONTAINER = "kserve-container"
"""The name by which KServe knows the server among a predictor's containers."""

_FETCHED = "/mnt/models"
"""Where KServe puts the model that `STORAGE_URI` names."""

_MODE = {"serving.kserve.io/deploymentMode": "RawDeployment"}
"""Older releases know this name only, newer ones take it for Standard."""


def to_kserve(workload: ClusterWorkload) -> str:
    """The InferenceService of `workload`, with a predictor of the measured image.

    KServe makes the Deployment, the Service `<name>-predictor` (port 80 for REST, the server's own
    for gRPC) and the autoscaler. Raises InputError where KServe or Kubernetes would refuse a value
    of the study, and where KServe shall fetch the model for a server that this format cannot point
    to it.
    """
    notes = ("KServe must be installed in the cluster. It makes the Deployment and the Service.",)
    return f"{workload.header(*notes)}\n{yaml_text(inference_service(workload))}"


def inference_service(workload: ClusterWorkload) -> dict[str, Any]:
    scraped = {"annotations": workload.scraped} if workload.scraped else {}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {**workload.metadata, "annotations": {**_MODE, **workload.origin}},
        "spec": {
            "predictor": {
                **_replicas(workload),
                "labels": workload.labels,
                **scraped,
                **_pod(workload),
            }
        },
    }


def _replicas(workload: ClusterWorkload) -> dict[str, Any]:
    scaling = workload.autoscaling
    if scaling is None:
        return {"minReplicas": workload.served.replicas, "maxReplicas": workload.served.replicas}
    return {
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "scaleMetric": "cpu",
        "scaleTarget": scaling.cpu_percent,
    }


def _pod(workload: ClusterWorkload) -> dict[str, Any]:
    model, plan = workload.model, workload.served.plan
    if not isinstance(model, Fetched) or model.image is not None:
        return pod_spec(workload, _CONTAINER)
    read = workload.served.server.reading_from
    if read is None:
        raise InputError(
            "the server of this study reads the model in its own place, not where KServe puts it",
            "add --init-image IMAGE, or give the model by --claim",
        )
    served = replace(workload.served, plan=read(plan, _FETCHED))
    pod = pod_spec(replace(workload, served=served), _CONTAINER)
    pod["containers"][0]["env"].append({"name": "STORAGE_URI", "value": model.source})
    return pod
