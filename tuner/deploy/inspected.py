"""Inspects a container that another tool made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

from tuner.deploy.cgroup import Limits
from tuner.deploy.engine_statistics import EngineStatistics, counter_source
from tuner.serving.container_plan import ContainerPlan

_ANY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 -- compared with, not bound


@dataclass(frozen=True)
class InspectedContainer:
    """The facts of a replica that the file brought up.

    `limits` are the kernel's. `image` is the image's id, `command` what follows the image's
    entrypoint. `model` is the directory on this machine that is mounted as the model's versions,
    None where the image has the model inside.
    """

    name: str
    limits: Limits
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    model: Path | None


def inspect_container(container: Container, plan: ContainerPlan) -> InspectedContainer:
    """The facts of a replica of `plan`."""
    mount = plan.model_mount
    model = None if mount is None else mounted_directory(container, mount)
    return inspect_elsewhere(container, _limits(container), model)


def inspect_elsewhere(
    container: Container, limits: Limits, model: Path | None
) -> InspectedContainer:
    """The facts of a replica that may be on another machine; `model` is a directory here."""
    config = container.attrs["Config"]
    return InspectedContainer(
        str(container.name),
        limits,
        container.attrs["Image"],
        tuple(config["Cmd"] or ()),
        dict(text.split("=", 1) for text in config["Env"] or () if "=" in text),
        model,
    )


def is_replica(container: Container, plan: ContainerPlan) -> bool:
    """Whether it serves: it mounts something where the model belongs, or has the plan's image where
    that has the model inside.
    """
    if plan.model_mount is not None:
        return mounted_directory(container, plan.model_mount) is not None
    return bool(container.attrs["Config"]["Image"] == plan.image)


def _limits(container: Container) -> Limits:
    """The kernel's limits; those in the engine's record where the container has ended already."""
    try:
        return counter_source(container).limits()
    except OSError:
        return EngineStatistics(container).limits()


def mounted_directory(container: Container, mount: str) -> Path | None:
    """The directory of this machine that is mounted at `mount`; None where none is."""
    for entry in container.attrs["Mounts"]:
        if entry["Destination"].rstrip("/") == mount:
            return Path(entry.get("Source") or "/")
    return None


def published_address(container: Container, port: int) -> tuple[str, int] | None:
    """The address at which this machine reaches the container's `port`; None if unpublished."""
    for binding in container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp") or ():
        host = binding["HostIp"]
        return ("127.0.0.1" if host in _ANY_INTERFACE else host), int(binding["HostPort"])
    return None
