"""One configuration as a file for `docker stack deploy`, which needs no changes.

It is the compose file's third version, the one that Swarm reads: limits stand below `deploy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuner.export.compose import model_volume_of, started_as, without_variables
from tuner.export.header import header, metrics_note, model_note, needs_image
from tuner.export.names import docker_name
from tuner.export.published import FIRST_PORT, PublishedPorts, published_ports
from tuner.export.served import Served
from tuner.results.predicted_front import Predicted
from tuner.serving.container_plan import PIDS_LIMIT, ContainerPlan, tmpfs_bytes
from tuner.spec.yaml_text import yaml_text

_BRIDGE = {"default": {"external": True, "name": "bridge"}}
"""Each node's own bridge, as in the measurement, instead of an overlay network between them."""


def to_stack(
    served: Served,
    model_versions: Path | None,
    first_port: int = FIRST_PORT,
    predicted: Predicted | None = None,
    *,
    first_grpc_port: int | None = None,
    name: str | None = None,
) -> str:
    """The replicas of `served` as the services `<name>-0`, `<name>-1`, ... of a stack.

    Each is one task, on the node where that replica was measured; where that is not known, Swarm
    chooses. Replica i answers on the ports i of `published_ports`, at its node. `model_versions` is
    the directory with the model's numbered versions on every node, None where the image has the
    model inside. Raises InputError where the ports do not exist.
    """
    ports = published_ports(
        served.replicas, first_port, first_grpc_port, speaks_grpc=served.plan.grpc_port is not None
    )
    stem = name or docker_name(served.study.model)
    nodes = tuple(map(str, served.trial.deployment.get("nodes") or [""] * served.replicas))
    services = {
        f"{stem}-{index}": _service(served, model_versions, ports, index, node)
        for index, node in enumerate(nodes)
    }
    notes = [
        "docker stack deploy --resolve-image never -c FILE NAME",
        "(without --resolve-image where the image is in a registry)",
        *_clients(ports, nodes),
        f"{needs_image(served)} It must be on each node.",
        *metrics_note(served),
        *model_note(model_versions),
        *(["That directory must be on each node."] if model_versions is not None else []),
        "A service has no limit of swap: turn it off on the nodes. It cannot ask for no new",
        "privileges and no shared memory either, and has no health check: Swarm would replace a",
        "replica that is merely busy.",
    ]
    body = yaml_text(
        {"version": "3.9", "services": without_variables(services), "networks": _BRIDGE}
    )
    return f"{header(served, predicted, notes)}\n{body}"


def _service(
    served: Served, versions: Path | None, ports: PublishedPorts, index: int, node: str
) -> dict[str, Any]:
    plan = served.plan
    service = started_as(plan)
    mounts: list[dict[str, Any]] = [
        {"type": "tmpfs", "target": path, "tmpfs": {"size": tmpfs_bytes(options) or 0}}
        for path, options in plan.tmpfs.items()
    ]
    if versions is not None:
        mounts.append(model_volume_of(plan, versions))
    if mounts:
        service["volumes"] = mounts
    return service | {
        "ports": _ports_of(ports, index, plan),
        "user": plan.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "sysctls": dict(plan.sysctls),
        "deploy": {
            "mode": "replicated",
            "replicas": 1,
            "endpoint_mode": "dnsrr",
            **({"placement": {"constraints": [f"node.hostname == {node}"]}} if node else {}),
            "resources": {
                "limits": {
                    "cpus": f"{served.cpu:.12g}",
                    "memory": f"{served.memory_mib}M",
                    "pids": PIDS_LIMIT,
                }
            },
            "restart_policy": {"condition": "any"},
        },
    }


def _ports_of(ports: PublishedPorts, index: int, plan: ContainerPlan) -> list[dict[str, Any]]:
    """The ports of one replica, on its node and not in the routing mesh."""
    pairs = [(ports.rest[index], plan.port)]
    if ports.grpc:
        assert plan.grpc_port is not None
        pairs.append((ports.grpc[index], plan.grpc_port))
    return [
        {"target": target, "published": published, "protocol": "tcp", "mode": "host"}
        for published, target in pairs
    ]


def _clients(ports: PublishedPorts, nodes: Sequence[str]) -> list[str]:
    """Where clients send their requests."""
    lines = ["Nothing balances: clients must spread their requests over all replicas (REST):"]
    lines += [f"  {node or 'NODE'}:{port}" for node, port in zip(nodes, ports.rest, strict=True)]
    if not all(nodes):
        lines.append("`docker stack ps NAME` shows the node of each.")
    return lines
