"""An InferenceService: its pod by the published schemas, KServe's own fields by an excerpt.

KServe's whole schema is a definition of 39,000 lines, of which no package has a copy. The excerpt
is written by hand from its version v1beta1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml

from tests.export.small import NASTY, made, named, study, trial
from tuner.errors import InputError
from tuner.export.autoscaler import Autoscaling
from tuner.export.kserve import inference_service, to_kserve
from tuner.export.pod import pod_spec
from tuner.export.provenance import read_provenance
from tuner.export.workload import ClusterWorkload
from tuner.measure.record import StudyRecord
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING

TWO = study(trial(0, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5}))
OFFICIAL = replace(
    TWO,
    serving={"image": "tensorflow/serving:2.19.1"},
    environment={"image": "tensorflow/serving:2.19.1"},
)

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
OWN_FIELDS: dict[str, Any] = {
    "minReplicas": {"type": "integer"},
    "maxReplicas": {"type": "integer"},
    "scaleTarget": {"type": "integer"},
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "labels": _TEXTS,
    "annotations": _TEXTS,
}
EXCERPT = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["predictor"],
            "additionalProperties": False,
            "properties": {"predictor": {"type": "object", "properties": OWN_FIELDS}},
        },
    },
}


def predictor_of(of: ClusterWorkload) -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load(to_kserve(of))
    predictor: dict[str, Any] = service["spec"]["predictor"]
    return predictor


FETCHED = {"model_source": "s3://bucket/digits"}


@pytest.mark.parametrize("record", [TWO, OFFICIAL], ids=["ours", "official"])
@pytest.mark.parametrize(
    "options",
    [
        {"namespace": "ml", "claim": "some.claim"},
        FETCHED,
        {**FETCHED, "init_image": "fetch/er:1"},
        {"autoscaling": Autoscaling(1, 4, 70)},
    ],
    ids=["claim", "fetched", "init", "autoscaled"],
)
def test_it_is_valid_by_the_schemas(record: StudyRecord, options: dict[str, Any]) -> None:
    service = yaml.safe_load(to_kserve(made(record, **options)))
    jsonschema.validate(service, EXCERPT)
    pod = {k: v for k, v in service["spec"]["predictor"].items() if k not in OWN_FIELDS}
    # What is left is a PodSpec, as KServe defines it.
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
    kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)


def test_its_pods_are_those_of_the_kubernetes_format() -> None:
    of = made(OFFICIAL)
    expected = pod_spec(of, container="kserve-container")
    assert {k: v for k, v in predictor_of(of).items() if k not in OWN_FIELDS} == expected


def test_the_number_of_replicas_stays_as_measured_unless_it_scales() -> None:
    fixed, scaled = (
        predictor_of(made(TWO)),
        predictor_of(made(TWO, autoscaling=Autoscaling(1, 4, 70))),
    )
    assert (fixed["minReplicas"], fixed["maxReplicas"]) == (2, 2)
    assert "scaleMetric" not in fixed
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (1, 4)
    assert (scaled["scaleMetric"], scaled["scaleTarget"]) == ("cpu", 70)


def test_kserve_fetches_the_model_to_where_the_server_looks() -> None:
    (server,) = predictor_of(made(TWO, **FETCHED))["containers"]
    assert {"name": "STORAGE_URI", "value": "s3://bucket/digits"} in server["env"]
    assert server["args"][-1] == "--model_base_path=/mnt/models"
    assert [mount["mountPath"] for mount in server["volumeMounts"]] == ["/dev/shm"]


def test_a_server_that_has_no_such_flag_needs_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(TENSORFLOW_SERVING, reading_from=None)
    monkeypatch.setattr("tuner.serving.servers.table.added_servers", lambda: {"other": other})
    record = replace(TWO, serving={**TWO.serving, "server": "other"})
    with pytest.raises(InputError, match="in its own place") as caught:
        to_kserve(made(record, **FETCHED))
    assert "--init-image" in caught.value.mend
    assert predictor_of(made(record, **FETCHED, init_image="a:1"))["initContainers"]


@pytest.mark.parametrize("text", NASTY)
def test_it_says_where_it_comes_from(text: str) -> None:
    of = made(named(text, "m", text))
    assert read_provenance(to_kserve(of)).study == text
    assert read_provenance(yaml.safe_dump(inference_service(of))).study == text
