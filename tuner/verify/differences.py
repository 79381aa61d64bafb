"""Compares what a file brought up with what was measured. Reads only the mounted model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.deploy.inspected import InspectedContainer
from tuner.export.provenance import Provenance
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import server_named
from tuner.serving.version_files import directory_checksum, highest_version_in
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec

_SHORT = 19
"""How many characters of a checksum are shown. That of an image begins with `sha256:`."""


@dataclass(frozen=True)
class FileDifference:
    """One difference: `measured` is what the study measured, `found` what the file brings up."""

    what: str
    measured: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: measured {self.measured}, found {self.found}"


def file_differences(
    replicas: Sequence[InspectedContainer],
    spec: DeploymentSpec,
    plan: ContainerPlan,
    of: Provenance,
) -> tuple[FileDifference, ...]:
    """The differences between `replicas` and those of the trial that the file comes from.

    `spec` and `plan` are what that trial deployed. A difference of several replicas is listed
    once. What the trial's record lacks, such as the image's id, is not compared.
    """
    differences = list(_count(replicas, spec))
    for replica in replicas:
        differences += [
            *_limits(replica, spec),
            *_image(replica, of),
            *_command(replica, plan),
            *_model(replica, spec, of),
        ]
    return tuple(dict.fromkeys(differences))


def elsewhere(host: Mapping[str, Any], measured_on: Mapping[str, Any]) -> str:
    """How this host differs from the one that was measured; empty where it seems the same."""
    differing = [
        f"{key} {host[key]}, measured with {measured_on[key]}"
        for key in ("name", "cpus", "memory_mib", "kernel", "cgroup")
        if key in host and key in measured_on and host[key] != measured_on[key]
    ]
    return ", ".join(differing)


def _count(
    replicas: Sequence[InspectedContainer], spec: DeploymentSpec
) -> Iterator[FileDifference]:
    if len(replicas) != spec.replicas:
        yield FileDifference("replicas", str(spec.replicas), str(len(replicas)))


def _limits(replica: InspectedContainer, spec: DeploymentSpec) -> Iterator[FileDifference]:
    limits = replica.limits
    # The kernel keeps CPU quotas in whole microseconds per period.
    if limits.cpu is None or abs(limits.cpu - spec.cpu) >= 1e-3:
        shown = "no limit" if limits.cpu is None else f"{limits.cpu:g} cores"
        yield FileDifference("cpu", f"{spec.cpu:g} cores", shown)
    memory = limits.memory_bytes
    if memory != spec.memory_mib * MIB:
        shown = "no limit" if memory is None else f"{memory / MIB:g} MiB"
        yield FileDifference("memory", f"{spec.memory_mib} MiB", shown)
    elif limits.swap_bytes != 0:
        shown = "no limit" if limits.swap_bytes is None else f"{limits.swap_bytes / MIB:g} MiB"
        yield FileDifference("swap", "none", shown)


def _image(replica: InspectedContainer, of: Provenance) -> Iterator[FileDifference]:
    if of.image_id is not None and replica.image != of.image_id:
        yield FileDifference("image", of.image_id[:_SHORT], replica.image[:_SHORT])


def _command(replica: InspectedContainer, plan: ContainerPlan) -> Iterator[FileDifference]:
    """Differences of flags and variables. What the image itself sets is part of the image."""
    if plan.command and replica.command != plan.command:
        yield FileDifference("flags", " ".join(plan.command), " ".join(replica.command) or "none")
    elif not plan.command and any(word.startswith("--") for word in replica.command):
        yield FileDifference("flags", "none", " ".join(replica.command))
    for name, value in plan.environment.items():
        actual = replica.environment.get(name)
        if actual != value:
            shown = "not set" if actual is None else actual
            yield FileDifference(f"variable {name}", value, shown)


def _model(
    replica: InspectedContainer, spec: DeploymentSpec, of: Provenance
) -> Iterator[FileDifference]:
    file = server_named(spec.serving.server).model_file
    if of.model_checksum is None or replica.model is None or file is None:
        return
    version = highest_version_in(replica.model, file)
    checksum = "no model" if version is None else directory_checksum(version)
    if checksum != of.model_checksum:
        yield FileDifference("model", of.model_checksum[:_SHORT], checksum[:_SHORT])
