"""What holds for every deployer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tuner.deploy.protocol import Deployer
from tuner.deploy.simulated import SimulatedDeployer
from tuner.errors import Infeasible
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec


@dataclass(frozen=True)
class Subject:
    """A deployer that was entered, and what it has on its engine."""

    deployer: Deployer
    existing: Callable[[], set[str]]
    spec: DeploymentSpec


@pytest.fixture(params=["simulated", pytest.param("docker", marks=pytest.mark.docker)])
def subject(request: pytest.FixtureRequest, half_plus_two: ModelSpec) -> Subject:
    spec = DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
    if request.param == "simulated":
        return Subject(SimulatedDeployer(Host(cpus=4, memory_mib=8192), seed=1), set, spec)
    return Subject(
        request.getfixturevalue("docker_deployer"), request.getfixturevalue("owned"), spec
    )


def test_a_deployment_has_an_address_and_counters_for_each_replica(subject: Subject) -> None:
    spec = dataclasses.replace(subject.spec, replicas=3)
    with subject.deployer.deploy(spec, "0") as deployment:
        assert len(set(deployment.addresses)) == 3
        assert deployment.model_name == "half_plus_two"
        assert deployment.host_cpus > 0
        first, second = deployment.counters(), deployment.counters()
        assert len(first) == len(second) == 3
        for before, after in zip(first, second, strict=True):
            assert before.cpu_ns > 0
            assert before.memory_peak_bytes > 0
            assert before.source == after.source
            changes = [
                getattr(after, field.name) - getattr(before, field.name)
                for field in dataclasses.fields(after)
                if field.name != "source"
            ]
            assert min(changes) >= 0
        deployment.verify()
        assert json.loads(json.dumps(deployment.facts()))["backend"] == subject.deployer.name


def test_the_environment_can_be_recorded(subject: Subject) -> None:
    environment = json.loads(json.dumps(subject.deployer.environment()))
    assert environment["backend"] == subject.deployer.name
    assert environment["host"]["cpus"] > 0


def test_loss_is_on_inside_its_block_only_and_zero_adds_no_rule(subject: Subject) -> None:
    with subject.deployer.deploy(subject.spec, "0") as deployment:
        with deployment.impair(5) as on:
            facts = json.loads(json.dumps(on.facts()))
            assert facts["loss_percent"] == 5
            assert facts["method"]
        for _ in range(2):
            with deployment.impair(0) as off:
                assert off.facts()["loss_percent"] == 0
                assert off.facts()["rules"] == []
        deployment.verify()


def test_memory_that_holds_no_replica_is_infeasible(subject: Subject) -> None:
    before = subject.existing()
    spec = dataclasses.replace(subject.spec, memory_mib=24)
    with (
        pytest.raises(Infeasible) as caught,
        subject.deployer.deploy(spec, "0"),
    ):
        pytest.fail("it was deployed")
    assert caught.value.kind == "out of memory"
    assert "24 MiB" in caught.value.message
    assert subject.existing() == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_block_raises(
    subject: Subject, error: type[BaseException]
) -> None:
    before = subject.existing()
    with (
        pytest.raises(error),
        subject.deployer.deploy(subject.spec, "0") as deployment,
        deployment.impair(5),
    ):
        raise error
    assert subject.existing() == before
