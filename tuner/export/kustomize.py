"""One configuration as a directory for kustomize: a base, and the namespace on top of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tuner.export.kubernetes import file_of, objects
from tuner.export.workload import ClusterWorkload
from tuner.spec.yaml_text import yaml_text

ENTRY = "kustomization.yaml"
BASE = "base"

_KIND = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def to_kustomize(workload: ClusterWorkload) -> dict[str, str]:
    """The directory's files by their paths.

    Raises InputError where Kubernetes would refuse a value of the study.
    """
    made = {file_of(o): o for o in objects(replace(workload, namespace=None))}
    top: dict[str, Any] = {**_KIND, "resources": [BASE]}
    if workload.namespace is not None:
        top["namespace"] = workload.namespace
    header = workload.header(
        "kubectl apply -k DIRECTORY applies it. Change it in an overlay of your own:",
        "the next export replaces these files.",
    )
    return {
        ENTRY: f"{header}\n{yaml_text(top)}",
        f"{BASE}/{ENTRY}": yaml_text({**_KIND, "resources": list(made)}),
        **{f"{BASE}/{name}": yaml_text(value) for name, value in made.items()},
    }
