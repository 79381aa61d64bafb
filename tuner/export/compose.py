"""One configuration as a compose file that needs no changes.

It has only keys that both generations of the tool read alike (docker-compose 1.29 and the compose
plugin). So limits stand at the service, and there is neither `version` nor `name`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuner.errors import InputError
from tuner.export.balancer import SERVICE, balancer_service
from tuner.export.header import header, needs_image
from tuner.export.names import docker_name
from tuner.export.served import Served, served_by
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.predicted_front import Predicted
from tuner.serving.container_plan import PIDS_LIMIT
from tuner.spec.yaml_text import yaml_text

FIRST_PORT = 8501

_HIGHEST_PORT = 65535


def to_compose(
    study: StudyRecord,
    trial: TrialRecord,
    model_versions: Path,
    first_port: int = FIRST_PORT,
    balancer: str | None = None,
    predicted: Predicted | None = None,
) -> str:
    """The replicas of `trial` as the services `<model>-0`, `<model>-1`, ...

    Replica i answers on 127.0.0.1, port `first_port` + i. With an image of nginx as `balancer`,
    only the balancer answers, on `first_port`. `model_versions` is the directory on the engine's
    host with the model's numbered versions. Raises InputError where the ports do not exist, or the
    study has a value that no container can have.
    """
    served = served_by(study, trial)
    ports = ports_from(first_port, served.replicas if balancer is None else 1)
    versions = model_versions.resolve()
    stem = docker_name(study.model)
    names = [f"{stem}-{i}" for i in range(served.replicas)]
    services = {name: _service(served, versions) for name in names}
    if balancer is None:
        for name, port in zip(names, ports, strict=True):
            services[name]["ports"] = [f"127.0.0.1:{port}:{served.port}"]
    else:
        services[SERVICE] = balancer_service(served, balancer, names, ports[0])
    notes = [
        *entrances(ports, balancer),
        needs_image(study),
        f"Needs the model's versions in {versions}",
    ]
    body = yaml_text({"services": _literal(services)})
    return f"{header(study, trial, predicted, notes)}\n{body}"


def ports_from(first_port: int, count: int) -> range:
    """`count` consecutive ports. Raises InputError where one of them does not exist."""
    ports = range(first_port, first_port + count)
    if not 1 <= ports[0] <= ports[-1] <= _HIGHEST_PORT:
        raise InputError(
            f"ports {ports[0]} to {ports[-1]} for {count} replicas are not all within"
            f" 1 to {_HIGHEST_PORT}",
            "choose another first port",
        )
    return ports


def entrances(ports: range, balancer: str | None = None) -> list[str]:
    """Notes on where clients send their requests."""
    listed = ", ".join(f"127.0.0.1:{port}" for port in ports)
    if balancer is not None:
        return [
            f"{balancer} (of the nginx family) spreads requests over the replicas: {listed}",
            "It was not part of the measurement: its own time and CPU usage come on top.",
        ]
    return [f"Clients must spread their requests over all ports: {listed}"]


def _service(served: Served, versions: Path) -> dict[str, Any]:
    plan, memory = served.plan, f"{served.memory_mib}m"
    service: dict[str, Any] = {"image": plan.image}
    if plan.entrypoint is not None:
        service["entrypoint"] = list(plan.entrypoint)
    if plan.command:
        service["command"] = list(plan.command)
    service |= {
        "environment": dict(plan.environment),
        "volumes": [
            {
                "type": "bind",
                "source": str(versions),
                "target": plan.model_mount,
                "read_only": True,
            }
        ],
        "cpus": served.cpu,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": PIDS_LIMIT,
        "user": plan.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if plan.tmpfs:
        service["tmpfs"] = [f"{path}:{options}" for path, options in plan.tmpfs.items()]
    return service | {"restart": "unless-stopped"}


def _literal(value: Any) -> Any:  # noqa: ANN401 -- any plain data
    """`value` with `$` doubled in texts, since compose takes a single `$` for a variable."""
    if isinstance(value, dict):
        return {key: _literal(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_literal(part) for part in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
