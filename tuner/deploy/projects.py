"""Finds what a user's file brought up for a run, and removes it when the run is dead.

The file stays as it is, so its containers and networks lack the owner's label. Instead they have
the label of a project, which compose takes on its command line and a script from its environment.
The project's name holds the run. A running `tune` always has a network of its own, made before its
projects and removed after them. So a project without such a network is that of a dead run.
"""

from __future__ import annotations

from collections.abc import Iterable

from docker import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from tuner.deploy.ownership import (
    LABEL,
    RUN_LABEL,
    Owner,
    remove_container,
    remove_network,
    remove_volume,
)

PROJECT_LABEL = "com.docker.compose.project"
STACK_LABEL = "com.docker.stack.namespace"
"""What `docker stack deploy` marks the services and containers of a stack with: its name."""

_PREFIX = "tune-verify-"


def project_of(run: str) -> str:
    """The name of the project of a run. Runs are hexadecimal, so compose accepts it."""
    return f"{_PREFIX}{run}"


def sweep_projects(client: DockerClient) -> list[str]:
    """Remove the containers, networks and volumes of projects of dead runs; return their names.

    Call it after `tuner.deploy.ownership.sweep`, which removes the networks of dead runs.
    """
    labelled: dict[str, str | list[str] | bool] = {"label": PROJECT_LABEL}
    # Living runs are listed last: one that ends meanwhile has removed its project already.
    containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
    networks = client.networks.list(filters=labelled)
    volumes = client.volumes.list(filters=labelled)
    living = _living(client)
    removed = []
    for container in containers:
        if _is_left(container, living):
            remove_container(container)
            removed.append(str(container.name))
    for network in networks:
        if _is_left(network, living):
            remove_network(network)
            removed.append(str(network.name))
    for volume in volumes:
        if _is_left(volume, living):
            remove_volume(volume)
            removed.append(str(volume.name))
    return removed


def is_left_stack(name: str, clients: Iterable[DockerClient]) -> bool:
    """Whether a stack of that name is that of a dead run: none of its keepers is on a node.

    Call it after `tuner.deploy.ownership.sweep` on each node, which removes those of dead runs.
    """
    if not name.startswith(_PREFIX):
        return False
    label = f"{RUN_LABEL}={name.removeprefix(_PREFIX)}"
    return not any(
        client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        for client in clients
    )


def _living(client: DockerClient) -> set[str]:
    """The runs that have a network whose owner is alive."""
    living = set()
    for network in client.networks.list(filters={"label": RUN_LABEL}):
        labels = network.attrs.get("Labels") or {}
        owner = Owner.parse(labels.get(LABEL, ""))
        if owner is None or not owner.dead():
            living.add(labels[RUN_LABEL])
    return living


def _is_left(made: Container | Network | Volume, living: set[str]) -> bool:
    labels = made.labels if isinstance(made, Container) else made.attrs.get("Labels") or {}
    project = str(labels.get(PROJECT_LABEL, ""))
    return project.startswith(_PREFIX) and project.removeprefix(_PREFIX) not in living
