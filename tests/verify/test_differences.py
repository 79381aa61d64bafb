from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.verify.exported import MODEL, SOURCE, study_of, write_model
from tuner.deploy.cgroup import Limits
from tuner.deploy.inspected import InspectedContainer
from tuner.export.provenance import Provenance, provenance
from tuner.serving.built_model import model_checksum
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import container_plan
from tuner.serving.version_files import directory_checksum
from tuner.spec.load import load_model
from tuner.spec.study import DeploymentSpec, ServingSpec
from tuner.verify.differences import elsewhere, file_differences

MIB = 2**20
SERVING = ServingSpec(flags={"rest_api_num_threads": "4"}, env={"SALT": "a=b"})


@pytest.fixture
def plan() -> ContainerPlan:
    return container_plan(SERVING, load_model(MODEL), "tune-serving:1")


@pytest.fixture
def spec() -> DeploymentSpec:
    write_model()
    return DeploymentSpec(load_model(MODEL), SERVING, replicas=2, cpu=0.5, memory_mib=192)


@pytest.fixture
def of(spec: DeploymentSpec) -> Provenance:
    study = study_of()
    found = provenance(study, study.trials[0])
    return replace(found, image_id="sha256:0", model_checksum=model_checksum(spec.model))


@pytest.fixture
def right(spec: DeploymentSpec, plan: ContainerPlan) -> InspectedContainer:
    """A replica as it was measured."""
    return InspectedContainer(
        name="up-0",
        limits=Limits(0.5, 192 * MIB, 0),
        image="sha256:0",
        command=plan.command,
        environment={"PATH": "/bin", **plan.environment},
        model=spec.model.versions,
    )


def test_the_same_is_no_difference(
    right: InspectedContainer, spec: DeploymentSpec, plan: ContainerPlan, of: Provenance
) -> None:
    assert file_differences([right, right], spec, plan, of) == ()


CHANGES: dict[str, Callable[[InspectedContainer], InspectedContainer]] = {
    "cpu: measured 0.5 cores, found 2 cores": lambda f: replace(
        f, limits=Limits(2.0, 192 * MIB, 0)
    ),
    "cpu: measured 0.5 cores, found no limit": lambda f: replace(
        f, limits=Limits(None, 192 * MIB, 0)
    ),
    "memory: measured 192 MiB, found 96 MiB": lambda f: replace(f, limits=Limits(0.5, 96 * MIB, 0)),
    "memory: measured 192 MiB, found no limit": lambda f: replace(
        f, limits=Limits(0.5, None, None)
    ),
    "swap: measured none, found 64 MiB": lambda f: replace(
        f, limits=Limits(0.5, 192 * MIB, 64 * MIB)
    ),
    "image: measured sha256:0, found sha256:1": lambda f: replace(f, image="sha256:1"),
    "flags: measured --rest_api_num_threads=4, found none": lambda f: replace(f, command=()),
    "variable SALT: measured a=b, found c": lambda f: replace(
        f, environment={**f.environment, "SALT": "c"}
    ),
    "variable SALT: measured a=b, found not set": lambda f: replace(
        f, environment={"MODEL_NAME": MODEL}
    ),
}


@pytest.mark.parametrize("text", CHANGES)
def test_what_is_different_is_told_once(
    text: str, right: InspectedContainer, spec: DeploymentSpec, plan: ContainerPlan, of: Provenance
) -> None:
    wrong = CHANGES[text](right)
    assert [str(d) for d in file_differences([wrong, right], spec, plan, of)] == [text]
    assert [str(d) for d in file_differences([wrong, wrong], spec, plan, of)] == [text]


def test_another_number_of_replicas_is_a_difference(
    right: InspectedContainer, spec: DeploymentSpec, plan: ContainerPlan, of: Provenance
) -> None:
    found = file_differences([right], spec, plan, of)
    assert [str(d) for d in found] == ["replicas: measured 2, found 1"]


def test_flags_where_there_were_none_are_a_difference(
    right: InspectedContainer, spec: DeploymentSpec, of: Provenance
) -> None:
    plan = container_plan(ServingSpec(), load_model(MODEL), "tune-serving:1")
    found = file_differences([right, right], spec, plan, of)
    assert [str(d) for d in found] == ["flags: measured none, found --rest_api_num_threads=4"]


def test_another_model_in_its_place_is_a_difference(
    right: InspectedContainer,
    spec: DeploymentSpec,
    plan: ContainerPlan,
    of: Provenance,
    tmp_path: Path,
) -> None:
    versions = tmp_path / "mounted"
    shutil.copytree(SOURCE, versions)
    moved = replace(right, model=versions)
    assert file_differences([moved, moved], spec, plan, of) == ()
    (version,) = versions.iterdir()
    (version / "more").write_text("x")
    (found,) = file_differences([moved, moved], spec, plan, of)
    assert found.what == "model"
    assert directory_checksum(version).startswith(found.found)
    empty = replace(right, model=tmp_path / "nothing")
    assert [d.found for d in file_differences([empty, right], spec, plan, of)] == ["no model"]


def test_what_was_not_recorded_is_not_compared(
    right: InspectedContainer, spec: DeploymentSpec, plan: ContainerPlan, of: Provenance
) -> None:
    unknown = replace(of, image_id=None, model_checksum=None)
    other = replace(right, image="sha256:1", model=Path("nowhere"))
    assert file_differences([other, other], spec, plan, unknown) == ()


def test_another_host_is_described_by_what_differs() -> None:
    here = {"name": "a", "cpus": 2, "memory_mib": 4096}
    assert elsewhere(here, here) == ""
    assert elsewhere(here, {"cpus": 2}) == ""
    assert elsewhere(here, {**here, "name": "b", "cpus": 8}) == (
        "name a, measured with b, cpus 2, measured with 8"
    )
