from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings

from tests.export.small import ANY_TEXT, FULL, IMAGE, NASTY, made, named, study, trial
from tuner.errors import InputError
from tuner.export.autoscaler import Autoscaling
from tuner.export.kubernetes import to_kubernetes
from tuner.export.provenance import read_provenance
from tuner.export.served import served_by
from tuner.export.workload import workload
from tuner.measure.record import StudyRecord
from tuner.serving.server.app import PROMETHEUS_PATH

VERSIONS = ["1.25", "1.31", kubernetes_validate.latest_version()]
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def objects(text: str) -> dict[str, dict[str, Any]]:
    return {found["kind"]: found for found in yaml.safe_load_all(text)}


def text_of(record: StudyRecord, claim: str | None = None) -> str:
    return to_kubernetes(workload(served_by(record, record.trials[0]), claim=claim))


def exported(record: StudyRecord, claim: str | None = None) -> dict[str, dict[str, Any]]:
    return objects(text_of(record, claim))


def pod(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = found["Deployment"]["spec"]["template"]["spec"]
    return spec


def container(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (only,) = pod(found)["containers"]
    return dict(only)


def expanded(text: str, known: dict[str, str]) -> str:
    """`$(NAME)` and `$$` as Kubernetes reads them (third_party/forked/golang/expansion)."""
    return re.sub(
        r"\$(\$|\(([^)]*)\)|)",
        lambda m: "$" if m[1] == "$" else known.get(m[2] or "", m[0]),
        text,
    )


TWO = study(trial(0, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5}))
OFFICIAL = replace(
    TWO,
    serving={"image": "tensorflow/serving:2.19.1"},
    environment={"image": "tensorflow/serving:2.19.1"},
)
GRPC = study(replace(TWO.trials[0], deployment={"protocol": "grpc"}))
RICH = replace(OFFICIAL, trials=GRPC.trials)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("record", [FULL, RICH], ids=["one", "rich"])
def test_the_objects_are_valid_by_the_published_schemas(record: StudyRecord, version: str) -> None:
    for found in exported(record, "some.claim").values():
        kubernetes_validate.validate(found, version, strict=True)


def test_the_validator_would_object() -> None:
    found = exported(TWO)["Deployment"]
    pod({"Deployment": found})["containers"][0]["memory"] = "1Gi"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found, VERSIONS[-1], strict=True)


def test_pods_are_guaranteed_what_was_measured() -> None:
    found = exported(TWO)
    assert found["Deployment"]["spec"]["replicas"] == 2
    resources = container(found)["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "500m", "memory": "192Mi"}


def test_containers_have_the_rights_of_the_measured_ones() -> None:
    found = exported(TWO)
    security = pod(found)["securityContext"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65534)
    assert container(found)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(found)["automountServiceAccountToken"] is False
    assert security["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"}]
    writable = [m for m in container(found)["volumeMounts"] if not m.get("readOnly")]
    assert writable == []
    assert container(found)["volumeMounts"][1]["mountPath"] == "/dev/shm"


def test_what_the_measured_container_could_write_is_memory() -> None:
    found = exported(OFFICIAL)
    assert pod(found)["volumes"][1]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Mi"}
    assert container(found)["volumeMounts"][1]["mountPath"] == "/tmp"


def test_a_pod_is_ready_when_the_model_is() -> None:
    only = container(exported(TWO))
    for probe in ("readinessProbe", "startupProbe"):
        assert only[probe]["httpGet"] == {"path": "/v1/models/half_plus_two", "port": "rest"}
    assert "livenessProbe" not in only
    waited = only["startupProbe"]["periodSeconds"] * only["startupProbe"]["failureThreshold"]
    assert waited >= 30


def test_a_grpc_study_has_both_ports_and_is_probed_on_the_rest_api() -> None:
    found = exported(GRPC)
    ports = {p["name"]: p["port"] for p in found["Service"]["spec"]["ports"]}
    assert ports == {"rest": 8501, "grpc": 8500}
    assert container(found)["readinessProbe"]["httpGet"]["port"] == "rest"


def test_service_and_budget_select_the_pods() -> None:
    found = exported(TWO)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        pod(found)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(s == selectors[0] and s.items() <= labels.items() for s in selectors)
    assert "tune/trial" not in selectors[0]
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_one_replica_has_no_budget_that_would_block_a_drain() -> None:
    assert exported(FULL).keys() == {"Deployment", "Service"}


@pytest.mark.parametrize(
    ("claim", "name"), [(None, r"half-plus-two-[0-9a-f]{8}-model"), ("my.claim", r"my\.claim")]
)
def test_the_model_comes_from_a_claim(claim: str | None, name: str) -> None:
    text = text_of(FULL, claim)
    volume = pod(objects(text))["volumes"][0]["persistentVolumeClaim"]
    assert re.fullmatch(name, volume["claimName"])
    assert volume["readOnly"] is True
    assert f"# Needs the PersistentVolumeClaim {volume['claimName']} " in text


@pytest.mark.parametrize("claim", ["", "A", "-a", "a..b", "a\n", "x" * 254])
def test_a_claim_has_the_name_of_one(claim: str) -> None:
    with pytest.raises(InputError, match="PersistentVolumeClaim"):
        text_of(FULL, claim)


FETCHED = {"model_source": "s3://bucket/models/m?a=1", "init_image": "fetch/er:1"}


def test_an_init_container_leaves_the_model_where_the_server_reads_it() -> None:
    found = objects(to_kubernetes(made(OFFICIAL, **FETCHED)))
    (fetching,) = pod(found)["initContainers"]
    server = container(found)
    path = "/models/half_plus_two"
    assert fetching["image"] == "fetch/er:1"
    assert fetching["args"] == ["s3://bucket/models/m?a=1", path]
    assert fetching["volumeMounts"] == [{"name": "model", "mountPath": path}]
    assert server["volumeMounts"][0] == {"name": "model", "mountPath": path, "readOnly": True}
    assert pod(found)["volumes"][0] == {"name": "model", "emptyDir": {}}
    # Otherwise the pod would reserve more than was measured, or not be Guaranteed.
    assert fetching["resources"] == server["resources"]
    assert fetching["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for part in found.values():
        kubernetes_validate.validate(part, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_image": "a:1"}, "has no model to fetch"),
        ({**FETCHED, "claim": "a"}, "two places"),
        ({**FETCHED, "init_image": "--privileged"}, "not an image reference"),
        *(
            ({**FETCHED, "model_source": uri}, "not the URI of a model")
            for uri in ("", "bucket/a", "s3://", "s3://a b", "s3://$(A)", "s3://a'", "S3://a")
        ),
    ],
)
def test_a_model_comes_from_one_place_that_is_one(options: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        made(TWO, **options)


def test_name_namespace_and_image_are_the_users() -> None:
    served = served_by(TWO, TWO.trials[0], "registry.example/serving:1")
    text = to_kubernetes(workload(served, name="digits", namespace="ml"))
    for part in objects(text).values():
        assert (part["metadata"]["name"], part["metadata"]["namespace"]) == ("digits", "ml")
    assert container(objects(text))["image"] == "registry.example/serving:1"
    assert f"which must be what was measured as {IMAGE}" in text
    assert read_provenance(text).image == IMAGE


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a.b", "-a", "a-", "a\n", "a" * 54])
def test_a_name_is_a_label_that_every_format_can_have(name: str) -> None:
    with pytest.raises(InputError, match=r"--name .* is not a DNS-1123 label"):
        workload(served_by(TWO, TWO.trials[0]), name=name)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a.b", "-a", "a-", "a\n", "a" * 64])
def test_a_namespace_is_a_label(name: str) -> None:
    with pytest.raises(InputError, match=r"--namespace .* is not a DNS-1123 label"):
        made(TWO, namespace=name)
    assert made(TWO, namespace="1" * 63).namespace == "1" * 63


def test_prometheus_finds_metrics_where_the_image_has_them() -> None:
    def annotations(record: StudyRecord) -> object:
        return exported(record)["Deployment"]["spec"]["template"]["metadata"].get("annotations")

    assert annotations(TWO) == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8501",
        "prometheus.io/path": PROMETHEUS_PATH,
    }
    assert annotations(OFFICIAL) is None
    monitored = {**TWO.serving, "flags": {"monitoring_config_file": "/models/m.conf"}}
    assert annotations(replace(TWO, serving=monitored)) is None


def test_an_autoscaler_has_the_number_of_replicas_to_itself() -> None:
    found = objects(to_kubernetes(made(FULL, autoscaling=Autoscaling(1, 5, 60))))
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    scaling = found["HorizontalPodAutoscaler"]
    kubernetes_validate.validate(scaling, VERSIONS[-1], strict=True)
    spec = scaling["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": found["Deployment"]["metadata"]["name"],
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)
    target = {"type": "Utilization", "averageUtilization": 60}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_a_path_that_cannot_be_mounted_is_refused() -> None:
    found = named("a", "a:b", "c")
    with pytest.raises(InputError, match="colon"):
        exported(found)


def check(record: StudyRecord, value: str) -> None:
    found = exported(record)
    names = {f["metadata"]["name"] for f in found.values()}
    assert len(names) == 1
    assert LABEL.fullmatch(names.pop())
    labels = found["Deployment"]["metadata"]["labels"]
    assert all(
        re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", v) for v in labels.values()
    )
    assert all(len(v) <= 63 for v in labels.values())
    only = container(found)
    known = {entry["name"]: entry["value"] for entry in only["env"]}
    set_ = {name: expanded(text, known) for name, text in known.items()}
    assert set_ == {"SALT": value, "MODEL_NAME": record.model}
    assert [expanded(word, known) for word in only["args"]] == [
        f"--text={value}",
        "--session_threads=2",
    ]
    assert only["image"] == IMAGE
    assert only["volumeMounts"][0]["mountPath"] == f"/models/{record.model}"


@pytest.mark.parametrize("text", [t for t in NASTY if ":" not in t])
def test_nothing_that_a_user_wrote_is_a_key_or_a_variable(text: str) -> None:
    check(named(text, text, text), text)


@settings(max_examples=50, deadline=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_names_and_values_come_back_as_they_were(name: str, model: str, value: str) -> None:
    check(named(name, model.replace(":", ""), value), value)


def test_studies_and_models_whose_names_are_alike_stay_apart() -> None:
    texts = ["a_b", "a-b", "a.b", "A-B", "x" * 60, "x" * 61, "", "1a"]
    found = [exported(named("s", text, ""))["Deployment"]["metadata"]["name"] for text in texts]
    assert len(set(found)) == len(texts)
    assert found[1] == "a-b"
