"""The pods of an export for Kubernetes: one server each, as it was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.errors import InputError
from tuner.export.served import Served
from tuner.export.workload import Claim, ClusterWorkload, Fetched

_VOLUME = "model"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- in the container
_STATUS = "rest"
"""The port of the probes."""
_PERIOD_SECONDS = 2
_PATIENCE = 5
"""How many times longer than measured a replica may take: a node may have a slower disk."""


def pod_spec(workload: ClusterWorkload, container: str = "server") -> dict[str, Any]:
    """The pod of `workload`, whose server is the container named `container`.

    Resource requests equal the limits, so pods are of the class Guaranteed. The containers' rights
    are those of the measured containers, which the `restricted` Pod Security Standard admits.
    Raises InputError where Kubernetes would refuse a value of the study.
    """
    served = workload.served
    user, _, group = served.plan.user.partition(":")
    fetching = _init_container(workload)
    pod: dict[str, Any] = {
        # Kubernetes would set variables of other services, which the measured containers lacked.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": int(user),
            "runAsGroup": int(group),
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": n, "value": v} for n, v in served.plan.sysctls.items()],
        },
        **({"initContainers": [fetching]} if fetching else {}),
        "containers": [_container(workload, container)],
        "volumes": [
            *_model_volume(workload.model),
            *(
                {"name": f"tmpfs-{i}", "emptyDir": {"medium": "Memory", **_size(options)}}
                for i, options in enumerate(served.plan.tmpfs.values())
            ),
            *_no_shared_memory(served.plan.tmpfs, {"emptyDir": {"medium": "Memory"}}),
        ],
    }
    if workload.most_replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": workload.selected},
            }
        ]
    return pod


def ports(served: Served) -> dict[str, int]:
    """The ports of a container by their names."""
    return dict(served.plan.ports)


def amounts(served: Served) -> dict[str, str]:
    """The CPU and memory of a replica as Kubernetes writes them."""
    return {
        "cpu": f"{max(1, round(1000 * served.cpu))}m",
        "memory": f"{served.memory_mib}Mi",
    }


def _container(workload: ClusterWorkload, name: str) -> dict[str, Any]:
    served = workload.served
    plan = served.plan
    container: dict[str, Any] = {"name": name, "image": plan.image}
    if plan.entrypoint is not None:
        container["command"] = [_literal(word) for word in plan.entrypoint]
    if plan.command:
        container["args"] = [_literal(word) for word in plan.command]
    probe = {"httpGet": {"path": plan.ready.path, "port": _STATUS}, "timeoutSeconds": 5}
    attempts = max(1, math.ceil(_PATIENCE * served.ready_seconds / _PERIOD_SECONDS))
    return container | {
        "env": [{"name": n, "value": _literal(v)} for n, v in plan.environment.items()],
        "ports": [
            {"name": port_name, "containerPort": port, "protocol": "TCP"}
            for port_name, port in ports(served).items()
        ],
        "resources": _resources(served),
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
            *_model_mount(workload, read_only=True),
            *({"name": f"tmpfs-{i}", "mountPath": path} for i, path in enumerate(plan.tmpfs)),
            *_no_shared_memory(plan.tmpfs, {"mountPath": _SHARED_MEMORY, "readOnly": True}),
        ],
    }


def _init_container(workload: ClusterWorkload) -> dict[str, Any] | None:
    """What fetches the model; None where nothing does, or KServe adds its own."""
    model, served = workload.model, workload.served
    if not isinstance(model, Fetched) or model.image is None:
        return None
    return {
        "name": "fetch-model",
        "image": model.image,
        "args": [model.source, _literal(str(served.plan.model_mount))],
        # Those of a replica: the pod reserves no more than that, and stays Guaranteed.
        "resources": _resources(served),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _model_mount(workload, read_only=False),
    }


def _model_volume(model: Claim | Fetched | None) -> list[dict[str, Any]]:
    if isinstance(model, Claim):
        claim = {"claimName": model.name, "readOnly": True}
        return [{"name": _VOLUME, "persistentVolumeClaim": claim}]
    return [] if model is None or model.image is None else [{"name": _VOLUME, "emptyDir": {}}]


def _model_mount(workload: ClusterWorkload, *, read_only: bool) -> list[dict[str, Any]]:
    if not _model_volume(workload.model):
        return []
    path = str(workload.served.plan.model_mount)
    if ":" in path:
        raise InputError(
            f"Kubernetes cannot mount at {path!r}, because the path has a colon",
            "give the model a name without a colon",
        )
    return [{"name": _VOLUME, "mountPath": path, **({"readOnly": True} if read_only else {})}]


def _no_shared_memory(
    tmpfs: Mapping[str, str], part: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """`part` of what covers the memory that Kubernetes lets every container write to.

    The measured containers had none (`IPC_MODE`), but where their plan has some.
    """
    if _SHARED_MEMORY not in tmpfs:
        yield {"name": "no-shared-memory", **part}


def _resources(served: Served) -> dict[str, Any]:
    return {"requests": amounts(served), "limits": amounts(served)}


def _literal(text: str) -> str:
    """`text` with `$` doubled, since Kubernetes takes `$(NAME)` for a variable."""
    return text.replace("$", "$$")


def _size(options: str) -> dict[str, str]:
    """The size in the options of a tmpfs, as the size of a volume."""
    match = re.search(r"(?:^|,)size=(\d+)m(?:,|$)", options)
    return {"sizeLimit": f"{match[1]}Mi"} if match else {}
