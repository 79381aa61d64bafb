"""The service that is a deployment on a swarm: made, waited for, removed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker.errors import NotFound
from docker.models.services import Service
from docker.types import (
    EndpointSpec,
    Mount,
    Resources,
    RestartPolicy,
    ServiceMode,
)

from tuner.deploy.ownership import LABEL, Owner
from tuner.deploy.projects import STACK_LABEL, is_left_stack
from tuner.interrupts import shielded
from tuner.serving.container_plan import PIDS_LIMIT, ContainerPlan, tmpfs_bytes

_LOOK_SECONDS = 0.05
_GONE_SECONDS = 20.0
"""How long the tasks of a removed service may take to end."""

_OVER = frozenset({"complete", "failed", "shutdown", "rejected", "orphaned", "remove"})


@dataclass(frozen=True)
class SwarmTask:
    """One replica as the manager sees it.

    `node` and `container` are ids, empty where there is none yet. `why` is what Swarm says of it.
    `wanted` says that it is to run: not so where its node is gone or takes no tasks, or where it
    has ended.
    """

    node: str
    state: str
    container: str
    why: str
    wanted: bool

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> SwarmTask:
        """From one object of the engine's `GET /tasks`."""
        status = task["Status"]
        return cls(
            task.get("NodeID", ""),
            status["State"],
            (status.get("ContainerStatus") or {}).get("ContainerID", ""),
            status.get("Err") or status.get("Message", ""),
            task["DesiredState"] == "running",
        )

    @property
    def over(self) -> bool:
        return self.state in _OVER or not self.wanted

    @property
    def running(self) -> bool:
        return self.state == "running" and bool(self.container)


def create_service(
    manager: DockerClient,
    name: str,
    plan: ContainerPlan,
    image_id: str,
    *,
    replicas: int,
    cpu: float,
    memory_bytes: int,
    ports: Collection[int],
    volume: str | None,
    sysctls: Mapping[str, str],
    barred: Sequence[str],
    labels: Mapping[str, str],
) -> Service:
    """A service of `replicas` containers of `plan` anywhere but on the nodes `barred` (ids).

    The image is named by its id, so no registry is asked. Swarm chooses the nodes, and on each a
    port. Nothing is balanced and no overlay network is used: each replica is reached at its node's
    address. One that ends is not started again.
    """
    mounts = [_in_memory(path, options) for path, options in plan.tmpfs.items()]
    if volume is not None and plan.model_mount is not None:
        mounts.append(Mount(plan.model_mount, volume, type="volume", read_only=True, no_copy=True))
    resources = Resources(cpu_limit=round(cpu * 1e9), mem_limit=memory_bytes)
    resources["Limits"]["Pids"] = PIDS_LIMIT
    published: list[Any] = [
        {"TargetPort": port, "PublishMode": "host", "Protocol": "tcp"} for port in ports
    ]
    service: Service = manager.services.create(  # type: ignore[no-untyped-call]
        image_id,
        list(plan.entrypoint) if plan.entrypoint else None,
        args=list(plan.command),
        name=name,
        labels=dict(labels),
        container_labels=dict(labels),
        env=[f"{key}={value}" for key, value in plan.environment.items()],
        user=plan.user,
        read_only=True,
        cap_drop=["ALL"],
        sysctls=dict(sysctls),
        mounts=mounts,
        mode=ServiceMode("replicated", replicas),
        constraints=[f"node.id!={node}" for node in barred],
        resources=resources,
        restart_policy=RestartPolicy("none"),
        stop_signal="SIGKILL",
        endpoint_spec=EndpointSpec(mode="dnsrr", ports=published),
    )
    return service


def service_tasks(manager: DockerClient, services: Sequence[str]) -> list[SwarmTask]:
    """The tasks of services (their ids), by service and slot; also of those that are removed."""
    # Not by the engine's filter, which refuses a service that is removed.
    held = manager.api.tasks()  # type: ignore[no-untyped-call]
    every = [task for task in held if task.get("ServiceID") in services]
    every.sort(key=lambda task: (services.index(task["ServiceID"]), task.get("Slot", 0)))
    return [SwarmTask.of(task) for task in every]


@contextmanager
def removed_at_the_end(
    manager: DockerClient, label: str, value: str, nodes: Collection[str]
) -> Iterator[None]:
    """Remove the services with this label, however the block ends, and wait until they are gone.

    That is, until those of `nodes` that can be reached have ended their tasks.
    """
    try:
        yield
    finally:
        with shielded():
            for service in manager.services.list(filters={"label": f"{label}={value}"}):
                _remove_service(manager, service, nodes)


def sweep_services(manager: DockerClient) -> list[str]:
    """Remove the services whose owner is dead, and return their names."""
    removed = []
    nodes = [str(node.id) for node in manager.nodes.list()]
    for service in manager.services.list(filters={"label": LABEL}):
        owner = Owner.parse(service.attrs["Spec"]["Labels"][LABEL])
        if owner is not None and owner.dead():
            _remove_service(manager, service, nodes)
            removed.append(str(service.name))
    return removed


def sweep_stacks(manager: DockerClient, nodes: Sequence[DockerClient]) -> list[str]:
    """Remove the services of stacks that dead runs brought up (`tune verify`); return their names.

    Call it after the sweep of the nodes.
    """
    removed = []
    every = [str(node.id) for node in manager.nodes.list()]
    for service in manager.services.list(filters={"label": STACK_LABEL}):
        if is_left_stack(service.attrs["Spec"]["Labels"][STACK_LABEL], nodes):
            _remove_service(manager, service, every)
            removed.append(str(service.name))
    return removed


def _remove_service(manager: DockerClient, service: Service, nodes: Collection[str]) -> None:
    identity = str(service.id)
    try:
        service.remove()  # type: ignore[no-untyped-call]
    except NotFound:
        return
    deadline = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < deadline:
        present = {
            str(node.id)
            for node in manager.nodes.list()
            if node.attrs["Status"]["State"] == "ready" and node.id in nodes
        }
        if not any(task.node in present for task in service_tasks(manager, [identity])):
            return
        time.sleep(_LOOK_SECONDS)


def _in_memory(path: str, options: str) -> Mount:
    """A tmpfs of the size in `options`. Swarm knows no owner of one: all may write there."""
    size = tmpfs_bytes(options)
    return Mount(path, "", type="tmpfs", tmpfs_size=size, tmpfs_mode=0o1777)
