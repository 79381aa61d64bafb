"""What was brought up, against what was measured. Pure but for reading the mounted model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.deploy.inspected import InspectedContainer
from tuner.export.provenance import Provenance
from tuner.serving.built_model import directory_checksum, highest_version_in
from tuner.serving.container_plan import ContainerPlan
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec

_SHORT = 19
"""Characters of a checksum that are shown; an image's begins with `sha256:`."""


@dataclass(frozen=True)
class FileDifference:
    """`measured` is what the study measured, `found` what the file brings up."""

    what: str
    measured: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: measured {self.measured}, found {self.found}"


def file_differences(
    found: Sequence[InspectedContainer], spec: DeploymentSpec, plan: ContainerPlan, of: Provenance
) -> tuple[FileDifference, ...]:
    """Between the replicas found and those of the trial that the file says it is from.

    `spec` and `plan` are what that trial deployed. The same difference of several replicas is
    told once. What was not recorded of the trial (an image's id) is not compared.
    """
    all_of_them = list(_counted(found, spec))
    for replica in found:
        all_of_them += [
            *_limits(replica, spec),
            *_image(replica, of),
            *_command(replica, plan),
            *_model(replica, of),
        ]
    return tuple(dict.fromkeys(all_of_them))


def elsewhere(host: Mapping[str, Any], measured_on: Mapping[str, Any]) -> str:
    """How this host is another than the one that was measured; empty where it seems the same."""
    found = [
        f"{key} {host[key]}, measured with {measured_on[key]}"
        for key in ("name", "cpus", "memory_mib", "kernel", "cgroup")
        if key in host and key in measured_on and host[key] != measured_on[key]
    ]
    return ", ".join(found)


def _counted(found: Sequence[InspectedContainer], spec: DeploymentSpec) -> Iterator[FileDifference]:
    if len(found) != spec.replicas:
        yield FileDifference("replicas", str(spec.replicas), str(len(found)))


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
    """Flags and variables; an image's own command, and what else it sets, is part of the image."""
    if plan.command and replica.command != plan.command:
        yield FileDifference("flags", " ".join(plan.command), " ".join(replica.command) or "none")
    elif not plan.command and any(word.startswith("--") for word in replica.command):
        yield FileDifference("flags", "none", " ".join(replica.command))
    for name, value in plan.environment.items():
        there = replica.environment.get(name)
        if there != value:
            yield FileDifference(f"variable {name}", value, "not set" if there is None else there)


def _model(replica: InspectedContainer, of: Provenance) -> Iterator[FileDifference]:
    if of.model_checksum is None:
        return
    version = highest_version_in(replica.model)
    there = "no model" if version is None else directory_checksum(version)
    if there != of.model_checksum:
        yield FileDifference("model", of.model_checksum[:_SHORT], there[:_SHORT])
