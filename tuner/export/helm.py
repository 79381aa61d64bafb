"""One configuration as a Helm chart.

The templates are the objects of the format `kubernetes`, in which a few values are placeholders.
There are no conditions, loops or named templates. So the chart renders to those very objects with
its own values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tuner.export.kubernetes import file_of, objects
from tuner.export.names import comments, one_line
from tuner.export.pod import amounts
from tuner.export.workload import Claim, ClusterWorkload
from tuner.spec.yaml_text import yaml_text, yaml_texts

ENTRY = "Chart.yaml"
VALUES = "values.yaml"
TEMPLATES = "templates"

_VERSION = "0.1.0"
_ABOUT_VALUES = "Chart.yaml says where these values come from. Resources are those of a replica."


def to_helm(workload: ClusterWorkload) -> dict[str, str]:
    """The chart's files by their paths.

    The release's name is the name of its objects, and its namespace theirs. Raises InputError where
    Kubernetes would refuse a value of the study.
    """
    served = workload.served
    chart = {
        "apiVersion": "v2",
        "name": workload.name,
        "description": one_line(
            f"Model {served.study.model} as trial {served.trial.number} of the study"
            f" {served.study.name} served it."
        ),
        "type": "application",
        "version": _VERSION,
        "annotations": workload.origin,
    }
    header = workload.header(
        f"helm install {workload.name} DIRECTORY installs it. The release's name is the name of",
        "its objects; --namespace says where.",
    )
    return {
        ENTRY: f"{header}\n{yaml_text(chart)}",
        VALUES: f"{comments([_ABOUT_VALUES])}{yaml_text(_values(workload))}",
        **_templates(workload),
    }


def _values(workload: ClusterWorkload) -> dict[str, Any]:
    served, model, scaling = workload.served, workload.model, workload.autoscaling
    values: dict[str, Any] = {} if scaling else {"replicas": served.replicas}
    values |= {"image": served.plan.image, "resources": amounts(served)}
    if isinstance(model, Claim):
        values["model"] = {"claim": model.name}
    elif model is not None:
        values["model"] = {"source": model.source, "initImage": model.image}
    if scaling:
        values["autoscaling"] = {
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "targetCPUUtilizationPercentage": scaling.cpu_percent,
        }
    return values


def _templates(workload: ClusterWorkload) -> dict[str, str]:
    plain = objects(replace(workload, namespace=None))
    # No text of the objects can hold their own checksum.
    mark = hashlib.sha256(yaml_texts(plain).encode()).hexdigest()
    tokens = {name: f"{mark}.{name}." for name in _ACTIONS}
    marked = objects(replace(workload, namespace=None, name=tokens["name"]))
    for part in marked:
        _set_values(part, tokens)
    return {
        f"{TEMPLATES}/{file_of(part)}": _as_template(yaml_text(part), tokens) for part in marked
    }


_ACTIONS = {
    "name": ".Release.Name",
    "replicas": ".Values.replicas",
    "image": ".Values.image | quote",
    "cpu": ".Values.resources.cpu | quote",
    "memory": ".Values.resources.memory | quote",
    "claim": ".Values.model.claim | quote",
    "source": ".Values.model.source | quote",
    "init_image": ".Values.model.initImage | quote",
    "least": ".Values.autoscaling.minReplicas",
    "most": ".Values.autoscaling.maxReplicas",
    "percent": ".Values.autoscaling.targetCPUUtilizationPercentage",
}


def _set_values(part: dict[str, Any], tokens: Mapping[str, str]) -> None:
    """Put tokens into an object where values belong."""
    spec = part["spec"]
    if part["kind"] == "HorizontalPodAutoscaler":
        spec |= {"minReplicas": tokens["least"], "maxReplicas": tokens["most"]}
        spec["metrics"][0]["resource"]["target"]["averageUtilization"] = tokens["percent"]
    if part["kind"] != "Deployment":
        return
    if "replicas" in spec:
        spec["replicas"] = tokens["replicas"]
    pod = spec["template"]["spec"]
    (server,) = pod["containers"]
    server["image"] = tokens["image"]
    for fetching in pod.get("initContainers", []):
        fetching["image"] = tokens["init_image"]
        fetching["args"][0] = tokens["source"]
    for container in [server, *pod.get("initContainers", [])]:
        for limits in container["resources"].values():
            limits |= {"cpu": tokens["cpu"], "memory": tokens["memory"]}
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = tokens["claim"]


def _as_template(text: str, tokens: Mapping[str, str]) -> str:
    """`text` as a template that renders to it, with actions in the places of tokens."""
    text = text.replace("{{", '{{ "{{" }}')
    for name, action in _ACTIONS.items():
        text = text.replace(tokens[name], f"{{{{ {action} }}}}")
    return text
