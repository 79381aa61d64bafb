"""What a file of the user's brought up for a run: found by its project, swept when the run is dead.

Nothing can be added to such a file, so its containers and networks do not carry the owner's label.
They carry the project's, which compose takes on its command line and a script from its environment;
the project names the run. A living run always has a network of its own, made before its projects
and removed after them; a project whose run has none is a dead one's.
"""

from __future__ import annotations

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
_PREFIX = "tune-verify-"


def project_of(run: str) -> str:
    """The name of the project of a run, which is hexadecimal; compose takes it as it is."""
    return f"{_PREFIX}{run}"


def sweep_projects(client: DockerClient) -> list[str]:
    """Remove the containers, networks and volumes of projects whose run is dead; their names.

    Call it after `tuner.deploy.ownership.sweep`, which removes the networks of dead runs.
    """
    chosen: dict[str, str | list[str] | bool] = {"label": PROJECT_LABEL}
    # In this order: a run that ends meanwhile has nothing of a project any more.
    containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
    networks = client.networks.list(filters=chosen)
    volumes = client.volumes.list(filters=chosen)
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


def _living(client: DockerClient) -> set[str]:
    """The runs that have a network whose owner is not dead."""
    found = set()
    for network in client.networks.list(filters={"label": RUN_LABEL}):
        labels = network.attrs.get("Labels") or {}
        owner = Owner.parse(labels.get(LABEL, ""))
        if owner is None or not owner.dead():
            found.add(labels[RUN_LABEL])
    return found


def _is_left(found: Container | Network | Volume, living: set[str]) -> bool:
    held = found.labels if isinstance(found, Container) else found.attrs.get("Labels") or {}
    project = str(held.get(PROJECT_LABEL, ""))
    return project.startswith(_PREFIX) and project.removeprefix(_PREFIX) not in living
