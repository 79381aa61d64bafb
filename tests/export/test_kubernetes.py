from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings

from tests.export.small import ANY_TEXT, FULL, IMAGE, NASTY, named, study, trial
from tuner.errors import InputError
from tuner.export.kubernetes import to_kubernetes
from tuner.measure.record import StudyRecord

VERSIONS = ["1.25", "1.31", kubernetes_validate.latest_version()]
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def objects(text: str) -> dict[str, dict[str, Any]]:
    return {found["kind"]: found for found in yaml.safe_load_all(text)}


def exported(record: StudyRecord, claim: str | None = None) -> dict[str, dict[str, Any]]:
    return objects(to_kubernetes(record, record.trials[0], claim))


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
    assert "emptyDir" not in str(pod(found)["volumes"])


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
    text = to_kubernetes(FULL, FULL.trials[0], claim)
    volume = pod(objects(text))["volumes"][0]["persistentVolumeClaim"]
    assert re.fullmatch(name, volume["claimName"])
    assert volume["readOnly"] is True
    assert f"# Needs the PersistentVolumeClaim {volume['claimName']} " in text


@pytest.mark.parametrize("claim", ["", "A", "-a", "a..b", "a\n", "x" * 254])
def test_a_claim_has_the_name_of_one(claim: str) -> None:
    with pytest.raises(InputError, match="PersistentVolumeClaim"):
        to_kubernetes(FULL, FULL.trials[0], claim)


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
