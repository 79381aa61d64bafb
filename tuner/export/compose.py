"""One configuration as a compose file that needs no changes.

It has only keys that both generations of the tool read alike (docker-compose 1.29 and the compose
plugin). So limits stand at the service, and there is neither `version` nor `name`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tuner.export.balancer import SERVICE, balancer_service
from tuner.export.header import header, metrics_note, model_note, needs_image
from tuner.export.names import docker_name
from tuner.export.published import FIRST_PORT, published_ports
from tuner.export.served import Served
from tuner.results.predicted_front import Predicted
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT, ContainerPlan
from tuner.spec.yaml_text import yaml_text

_CHECK_SECONDS = 10


def to_compose(
    served: Served,
    model_versions: Path | None,
    first_port: int = FIRST_PORT,
    balancer: str | None = None,
    predicted: Predicted | None = None,
    *,
    first_grpc_port: int | None = None,
    name: str | None = None,
) -> str:
    """The replicas of `served` as the services `<name>-0`, `<name>-1`, ...

    `name` is by default the model's. Replica i answers on the ports i of `published_ports`. With an
    image of nginx as `balancer`, only the balancer answers, on the first ports. `model_versions` is
    the directory on the engine's host with the model's numbered versions, None where the image has
    the model inside. Raises InputError where the ports do not exist, and where `balancer` is not an
    image reference.
    """
    entrances = served.replicas if balancer is None else 1
    ports = published_ports(
        entrances, first_port, first_grpc_port, speaks_grpc=served.plan.grpc_port is not None
    )
    stem = name or docker_name(served.study.model)
    names = [f"{stem}-{i}" for i in range(served.replicas)]
    services = {name: _service(served, model_versions) for name in names}
    if balancer is None:
        for index, service in enumerate(services.values()):
            service["ports"] = ports.of(index, served.plan)
    else:
        services[SERVICE] = balancer_service(served, balancer, names, ports)
    notes = [
        *ports.notes(balancer),
        needs_image(served),
        *metrics_note(served),
        *model_note(model_versions),
    ]
    body = yaml_text({"services": without_variables(services)})
    return f"{header(served, predicted, notes)}\n{body}"


def started_as(plan: ContainerPlan) -> dict[str, Any]:
    """What a service runs, in every version of the file."""
    service: dict[str, Any] = {"image": plan.image}
    if plan.entrypoint is not None:
        service["entrypoint"] = list(plan.entrypoint)
    if plan.command:
        service["command"] = list(plan.command)
    service["environment"] = dict(plan.environment)
    return service


def model_volume_of(plan: ContainerPlan, versions: Path) -> dict[str, Any]:
    """The volume by which a service sees the model, in every version of the file."""
    return {
        "type": "bind",
        "source": str(versions.resolve()),
        "target": plan.model_mount,
        "read_only": True,
    }


def _service(served: Served, versions: Path | None) -> dict[str, Any]:
    plan, memory = served.plan, f"{served.memory_mib}m"
    service = started_as(plan)
    if versions is not None:
        service["volumes"] = [model_volume_of(plan, versions)]
    service |= {
        "cpus": served.cpu,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": PIDS_LIMIT,
        "user": plan.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ipc": IPC_MODE,
        "sysctls": dict(plan.sysctls),
    }
    if plan.tmpfs:
        service["tmpfs"] = [f"{path}:{options}" for path, options in plan.tmpfs.items()]
    if plan.health:
        service["healthcheck"] = _health_check(served)
    return service | {"restart": "unless-stopped"}


def _health_check(served: Served) -> dict[str, Any]:
    """Healthy once the model is loaded. Compose shows the state, and restarts nothing for it."""
    plan = served.plan
    return {
        "test": ["CMD", *plan.health, str(plan.port), plan.ready.path],
        "interval": f"{_CHECK_SECONDS}s",
        "timeout": "5s",
        "retries": 3,
        "start_period": f"{math.ceil(served.ready_seconds)}s",
    }


def without_variables(value: Any) -> Any:  # noqa: ANN401 -- any plain data
    """`value` with `$` doubled in texts, since compose takes a single `$` for a variable."""
    if isinstance(value, dict):
        return {key: without_variables(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_variables(part) for part in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
