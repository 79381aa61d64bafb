"""An exported stack on a real swarm: brought up as it stands, measured, and taken down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from tests.cluster.nodes import Cluster
from tests.cluster.small_swarm_study import write_swarm_study
from tests.verify.exported import LOOSE, measured_baseline
from tuner.export.served import served_by
from tuner.export.stack import to_stack
from tuner.measure.record import StudyRecord
from tuner.serving.built_model import model_checksum
from tuner.serving.image import image_tag
from tuner.serving.servers.table import server_named
from tuner.spec.fingerprint import to_dict
from tuner.spec.study import ModelSpec
from tuner.verify.exported_file import read_exported
from tuner.verify.result import Verified
from tuner.verify.verification import verify_file

pytestmark = [pytest.mark.docker, pytest.mark.thorough]

NODES = ["node3", "node1"]


def measured(model: ModelSpec, engine: DockerClient) -> StudyRecord:
    """The study `small` with a trial of two replicas on `NODES`."""
    spec = write_swarm_study(model, ("min_seconds: 4, max_seconds: 4", "max_seconds: 2"))
    recipe = server_named(spec.serving.server).image
    assert recipe is not None
    image = image_tag(recipe)
    trial = replace(
        measured_baseline(spec, LOOSE),
        deployment={"backend": "swarm", "nodes": NODES},
        backend="swarm",
    )
    environment = {
        "backend": "swarm",
        "image": image,
        "image_id": engine.images.get(image).id,
        "model": model.name,
        "model_checksum": model_checksum(spec.model),
    }
    return StudyRecord.of("small", to_dict(spec), environment, [trial])


def verified(study: StudyRecord, model: ModelSpec, *changes: tuple[str, str]) -> Verified:
    text = to_stack(served_by(study, study.trials[0]), model.versions, 18501)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = Path("stack.yaml")
    path.write_text(text)
    return verify_file(study, read_exported(path), "swarm")


def test_a_stack_as_it_stands_is_measured_and_taken_down(
    swarm: Cluster, engine: DockerClient, onnx_model: ModelSpec
) -> None:
    study = measured(onnx_model, engine)
    found = verified(study, onnx_model)
    assert found.differences == ()
    assert found.broken == ""
    assert found.verdict == "as predicted"
    (result,) = found.results
    assert result.deployment["nodes"] == NODES
    assert [limit["memory_mib"] for limit in result.deployment["limits"]] == [192.0, 192.0]
    assert result.impairment["asked"]["loss_in"] == 2
    assert swarm.existing() == set()


def test_a_stack_that_was_changed_is_not_what_was_measured(
    swarm: Cluster, engine: DockerClient, onnx_model: ModelSpec
) -> None:
    study = measured(onnx_model, engine)
    changes = (("memory: 192M", "memory: 256M"), ("cpus: '0.5'", "cpus: '0.4'"))
    found = verified(study, onnx_model, *changes)
    assert {difference.what for difference in found.differences} == {"cpu", "memory"}
    assert found.verdict == "not as predicted"
    assert swarm.existing() == set()
