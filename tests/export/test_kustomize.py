"""A directory for kustomize, built by kubectl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.export.small import NASTY, made, named, study, trial
from tuner.export.autoscaler import Autoscaling
from tuner.export.directory import write_exported
from tuner.export.kubernetes import objects
from tuner.export.kustomize import to_kustomize
from tuner.export.workload import ClusterWorkload

TWO = study(trial(0, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5}))

INERT = "".join(NASTY).replace("\u0085", "")
"""Without the line break NEL, which kustomize itself writes as a space."""


def built(kubectl: str, directory: Path) -> dict[str, dict[str, Any]]:
    ended = subprocess.run(
        [kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return {part["kind"]: part for part in yaml.safe_load_all(ended.stdout)}


@pytest.mark.parametrize(
    "of",
    [
        made(TWO, namespace="ml"),
        made(named("s", "m", INERT), model_source="s3://b/m", init_image="a/b:1"),
        made(TWO, namespace="ml", autoscaling=Autoscaling(2, 6, 70)),
    ],
    ids=["namespace", "nasty", "autoscaled"],
)
def test_kustomize_builds_the_objects_of_the_kubernetes_format(
    kubectl: str, tmp_path: Path, of: ClusterWorkload
) -> None:
    write_exported(tmp_path / "made", to_kustomize(of))
    assert built(kubectl, tmp_path / "made") == {part["kind"]: part for part in objects(of)}


def test_an_overlay_changes_what_was_exported(kubectl: str, tmp_path: Path) -> None:
    write_exported(tmp_path / "made", to_kustomize(made(TWO)))
    (tmp_path / "overlay").mkdir()
    overlay = {
        "resources": ["../made"],
        "namespace": "other",
        "images": [{"name": "tune-serving", "newName": "registry.example/serving"}],
        "replicas": [{"name": "digits", "count": 7}],
    }
    (tmp_path / "overlay/kustomization.yaml").write_text(yaml.safe_dump(overlay))
    deployment = built(kubectl, tmp_path / "overlay")["Deployment"]
    assert deployment["metadata"]["namespace"] == "other"
    assert deployment["spec"]["replicas"] == 7
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert server["image"] == "registry.example/serving:0123456789ab"
