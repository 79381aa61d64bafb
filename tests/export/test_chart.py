"""A chart, rendered and linted by Helm's own engine."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings

from tests.export.small import ANY_TEXT, NASTY, made, named, study, trial
from tuner.export.autoscaler import Autoscaling
from tuner.export.directory import write_exported
from tuner.export.helm import to_helm
from tuner.export.kubernetes import objects
from tuner.export.workload import ClusterWorkload

helm = pytest.importorskip("helm_python", reason="its wheels are for Linux on x86-64")

TWO = study(trial(0, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5}))
OFFICIAL = replace(
    TWO,
    serving={"image": "tensorflow/serving:2.19.1"},
    environment={"image": "tensorflow/serving:2.19.1"},
)
ACTIONS = ("{{ .Values.image }}", "{{/* a", "}} {{", "{{`", "{{- end -}}", '{{ "{{" }}')
"""Texts that mean something to a template."""


def rendered(
    of: ClusterWorkload, values: dict[str, Any] | None = None, release: str = "digits"
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(scratch, "chart")
        write_exported(chart, to_helm(of))
        with helm.Chart.load(str(chart)) as loaded:
            texts = loaded.render(values, name=release, namespace="ml")
    return [yaml.safe_load(text) for text in texts.values()]


def by_kind(parts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {part["kind"]: part for part in parts}


@pytest.mark.parametrize(
    "of",
    [
        made(study(trial(0, 3.0, 30.0))),
        made(TWO, claim="some.claim"),
        made(OFFICIAL, model_source="s3://bucket/digits", init_image="fetch/er:1"),
        made(TWO, autoscaling=Autoscaling(2, 6, 70)),
        *(made(named("s", "m", text)) for text in (*NASTY, *ACTIONS)),
    ],
)
def test_a_chart_renders_to_the_objects_of_the_kubernetes_format(of: ClusterWorkload) -> None:
    assert by_kind(rendered(of)) == by_kind(objects(of))


@settings(max_examples=30, deadline=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_names_and_values_come_back_as_they_were(name: str, model: str, value: str) -> None:
    of = made(named(name, model.replace(":", ""), value))
    assert by_kind(rendered(of)) == by_kind(objects(of))


def test_values_are_what_its_user_sets() -> None:
    of = made(OFFICIAL, model_source="s3://bucket/digits", init_image="fetch/er:1")
    values = {
        "replicas": 5,
        "image": "registry.example/serving@sha256:00",
        "resources": {"cpu": "2", "memory": "1Gi"},
        "model": {"source": "gs://other/place", "initImage": "fetch/er:2"},
    }
    parts = by_kind(rendered(of, values, release="mine"))
    for part in parts.values():
        assert part["metadata"]["name"] == "mine"
        kubernetes_validate.validate(part, kubernetes_validate.latest_version(), strict=True)
    spec = parts["Deployment"]["spec"]
    assert spec["replicas"] == 5
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert parts["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]
    (server,) = spec["template"]["spec"]["containers"]
    (fetching,) = spec["template"]["spec"]["initContainers"]
    amounts = {"cpu": "2", "memory": "1Gi"}
    assert server["image"] == "registry.example/serving@sha256:00"
    assert server["resources"] == fetching["resources"] == {"requests": amounts, "limits": amounts}
    assert (fetching["image"], fetching["args"][0]) == ("fetch/er:2", "gs://other/place")


def test_a_claim_and_an_autoscaler_are_values_too() -> None:
    values = {
        "model": {"claim": "other"},
        "autoscaling": {
            "minReplicas": 3,
            "maxReplicas": 9,
            "targetCPUUtilizationPercentage": 40,
        },
    }
    parts = by_kind(rendered(made(TWO, autoscaling=Autoscaling(1, 2, 70)), values))
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "other"
    assert "replicas" not in parts["Deployment"]["spec"]
    scaling = parts["HorizontalPodAutoscaler"]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (3, 9)
    assert scaling["metrics"][0]["resource"]["target"]["averageUtilization"] == 40


def test_helm_finds_nothing_to_object_to(tmp_path: Path) -> None:
    write_exported(tmp_path / "chart", to_helm(made(TWO)))
    report = helm.lint(str(tmp_path / "chart"), strict=True)
    assert report["errors"] == []
    assert [m["error"] for m in report["messages"]] == ["icon is recommended"]
    (tmp_path / "chart/templates/service.yaml").write_text("kind: {{ .Values.a | }}")
    assert helm.lint(str(tmp_path / "chart"), strict=True)["errors"]
