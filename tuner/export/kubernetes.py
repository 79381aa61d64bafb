"""One configuration as Kubernetes objects: Deployment, Service, PodDisruptionBudget."""

from __future__ import annotations

import math
import re
from typing import Any

from tuner.errors import InputError
from tuner.export.header import header, needs_image
from tuner.export.names import dns_label
from tuner.export.provenance import ANNOTATION, provenance
from tuner.export.served import Served, served_by
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.predicted_front import Predicted
from tuner.serving.container_plan import PORT
from tuner.spec.yaml_text import yaml_texts

_STATUS, _ASKED = "rest", "grpc"
"""Names of the ports. The REST API's answers for the model's status, also for gRPC requests."""

_VOLUME = "model"

_SUBDOMAIN = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_LONGEST_NAME = 253
_PERIOD_SECONDS = 2
_PATIENCE = 5
"""How many times longer than measured a replica may take: a node may have a slower disk."""


def to_kubernetes(
    study: StudyRecord,
    trial: TrialRecord,
    claim: str | None = None,
    predicted: Predicted | None = None,
) -> str:
    """The replicas of `trial` as a stream of YAML documents.

    Resource requests equal the limits, so pods are of the class Guaranteed. The containers' rights
    are those of the measured containers, which the `restricted` Pod Security Standard admits.
    `claim` names the PersistentVolumeClaim with the model's numbered versions at its top, by
    default `<model>-model`. Raises InputError where Kubernetes would refuse a value of the study or
    `claim`.
    """
    served = served_by(study, trial)
    name = dns_label(study.model)
    volume = f"{name}-model" if claim is None else _claim(claim)
    labels = {
        **_selected(name),
        "app.kubernetes.io/managed-by": "tune",
        "tune/study": dns_label(study.name),
        "tune/trial": str(trial.number),
    }
    annotations = {ANNOTATION: provenance(study, trial, predicted).to_json()}
    metadata = {"name": name, "labels": labels}
    objects = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**metadata, "annotations": annotations},
            "spec": {
                "replicas": served.replicas,
                # Without the trial: a selector cannot change when the next export replaces this.
                "selector": {"matchLabels": _selected(name)},
                "template": {"metadata": {"labels": labels}, "spec": _pod(served, name, volume)},
            },
        },
        _service(served, metadata),
    ]
    if served.replicas > 1:
        objects.append(_budget(metadata))
    notes = [
        f"Needs the PersistentVolumeClaim {volume} in the same namespace, which holds the model's",
        "versions: 1/saved_model.pb and so on. tune does not make it: storage is the cluster's.",
        needs_image(study) + " Every node must be able to pull or hold it.",
        "All replicas were measured on one host. Here they spread over nodes where there are",
        "several, so each shares its node's CPUs with other pods than in the measurement.",
        "The Service spreads connections, not requests: clients should hold several.",
    ]
    return f"{header(study, trial, predicted, notes)}\n{yaml_texts(objects)}"


def _pod(served: Served, name: str, volume: str) -> dict[str, Any]:
    user, _, group = served.plan.user.partition(":")
    pod: dict[str, Any] = {
        # Kubernetes would set variables of other services, which the measured containers lacked.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": int(user),
            "runAsGroup": int(group),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(served)],
        "volumes": [
            {
                "name": _VOLUME,
                "persistentVolumeClaim": {"claimName": volume, "readOnly": True},
            },
            *(
                {"name": f"tmpfs-{i}", "emptyDir": {"medium": "Memory", **_size(options)}}
                for i, options in enumerate(served.plan.tmpfs.values())
            ),
        ],
    }
    if served.replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selected(name)},
            }
        ]
    return pod


def _container(served: Served) -> dict[str, Any]:
    plan = served.plan
    container: dict[str, Any] = {"name": "server", "image": plan.image}
    if plan.entrypoint is not None:
        container["command"] = [_literal(word) for word in plan.entrypoint]
    if plan.command:
        container["args"] = [_literal(word) for word in plan.command]
    amounts = {"cpu": _cores(served.cpu), "memory": f"{served.memory_mib}Mi"}
    probe = {"httpGet": {"path": served.status_path, "port": _STATUS}, "timeoutSeconds": 5}
    attempts = max(1, math.ceil(_PATIENCE * served.ready_seconds / _PERIOD_SECONDS))
    return container | {
        "env": [{"name": n, "value": _literal(v)} for n, v in plan.environment.items()],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in _ports(served).items()
        ],
        "resources": {"requests": amounts, "limits": amounts},
        "startupProbe": {
            **probe,
            "periodSeconds": _PERIOD_SECONDS,
            "failureThreshold": attempts,
        },
        # No liveness probe: a busy replica answers late, and a restart would make that worse.
        "readinessProbe": {**probe, "periodSeconds": 5},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": _VOLUME, "mountPath": _mount_path(plan.model_mount), "readOnly": True},
            *({"name": f"tmpfs-{i}", "mountPath": path} for i, path in enumerate(plan.tmpfs)),
        ],
    }


def _service(served: Served, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": _selected(metadata["name"]),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
                for name, port in _ports(served).items()
            ],
        },
    }


def _budget(metadata: dict[str, Any]) -> dict[str, Any]:
    """Draining nodes stops one replica at a time, while the others carry the load."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _selected(metadata["name"])},
        },
    }


def _selected(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "model-server"}


def _ports(served: Served) -> dict[str, int]:
    own = {_ASKED: served.port} if served.port != PORT else {}
    return {_STATUS: PORT, **own}


def _literal(text: str) -> str:
    """`text` with `$` doubled, since Kubernetes takes `$(NAME)` for a variable."""
    return text.replace("$", "$$")


def _cores(cpu: float) -> str:
    return f"{max(1, round(1000 * cpu))}m"


def _size(options: str) -> dict[str, str]:
    """The size in the options of a tmpfs, as the size of a volume."""
    match = re.search(r"(?:^|,)size=(\d+)m(?:,|$)", options)
    return {"sizeLimit": f"{match[1]}Mi"} if match else {}


def _mount_path(path: str) -> str:
    if ":" in path:
        raise InputError(
            f"Kubernetes cannot mount at {path!r}, because the path has a colon",
            "give the model a name without a colon",
        )
    return path


def _claim(name: str) -> str:
    if len(name) > _LONGEST_NAME or re.fullmatch(_SUBDOMAIN, name) is None:
        raise InputError(
            f"{name!r} is not the name of a PersistentVolumeClaim",
            "give one that `kubectl get pvc` lists: small letters, digits, - and .",
        )
    return name
