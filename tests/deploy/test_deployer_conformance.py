"""What holds for every deployer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tuner.backends.simulated import SimulatedDeployer
from tuner.deploy import logs
from tuner.deploy.protocol import Deployer
from tuner.deploy.reuse import ReusingDeployer
from tuner.errors import Infeasible
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, ModelSpec, NetworkSpec, ServingSpec

__all__ = [
    "test_a_deployment_has_an_address_and_counters_for_each_replica",
    "test_a_deployment_says_where_the_load_engine_is_to_run",
    "test_a_null_server_answers_where_there_is_a_path_to_one",
    "test_cpu_times_are_those_of_the_counters",
    "test_loss_is_on_inside_its_block_only_and_a_clean_network_adds_no_rule",
    "test_memory_that_holds_no_replica_is_infeasible",
    "test_nothing_is_left_when_the_block_raises",
    "test_the_environment_can_be_recorded",
    "test_what_the_replicas_wrote_is_bounded_text",
]
"""What other deployers' tests import all of, with a fixture `subject` of their own."""


@dataclass(frozen=True)
class Subject:
    """A deployer that was entered, and what it has on its engine."""

    deployer: Deployer
    existing: Callable[[], set[str]]
    spec: DeploymentSpec


@pytest.fixture(
    params=[
        "simulated",
        "simulated staying",
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("docker staying", marks=pytest.mark.docker),
    ]
)
def subject(request: pytest.FixtureRequest, half_plus_two: ModelSpec) -> Iterator[Subject]:
    spec = DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
    backend, *staying = request.param.split()
    deployer: Deployer
    owned: Callable[[], set[str]]
    if backend == "simulated":
        deployer, owned = SimulatedDeployer(Host(cpus=4, memory_mib=8192), seed=1), set
    else:
        deployer = request.getfixturevalue("docker_deployer")
        owned = request.getfixturevalue("owned")
    if not staying:
        yield Subject(deployer, owned, spec)
        return
    stays = ReusingDeployer(deployer)

    def existing() -> set[str]:
        """What is there when nothing stands."""
        stays.leave()
        return owned()

    yield Subject(stays, existing, spec)
    stays.leave()


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
            for field in dataclasses.fields(after):
                if field.name != "source":
                    pair = getattr(before, field.name), getattr(after, field.name)
                    assert pair == (None, None) or pair[0] <= pair[1]
        deployment.verify()
        assert isinstance(deployment.forget_peak(), bool)
        assert all(found.memory_peak_bytes > 0 for found in deployment.counters())
        assert json.loads(json.dumps(deployment.facts()))["backend"] == subject.deployer.name


def test_what_the_replicas_wrote_is_bounded_text(subject: Subject) -> None:
    spec = dataclasses.replace(subject.spec, replicas=2)
    with subject.deployer.deploy(spec, "0") as deployment:
        log = deployment.log_tail()
        deployment.verify()
    assert len(log.splitlines()) <= logs.LINES + spec.replicas
    assert logs.harmless(log.encode()) == log
    if subject.deployer.name == "docker":
        first, _, second = log.partition("replica 1:\n")
        assert first.startswith("replica 0:\n")
        assert spec.model.name in first
        assert spec.model.name in second


def test_the_environment_can_be_recorded(subject: Subject) -> None:
    environment = json.loads(json.dumps(subject.deployer.environment()))
    assert environment["backend"] == subject.deployer.name
    assert environment["host"]["cpus"] > 0


def test_cpu_times_are_those_of_the_counters(subject: Subject) -> None:
    spec = dataclasses.replace(subject.spec, replicas=2)
    with subject.deployer.deploy(spec, "0") as deployment:
        before, light, after = (
            deployment.counters(),
            deployment.cpu_times(),
            deployment.counters(),
        )
        for first, (time_ns, cpu_ns), last in zip(before, light, after, strict=True):
            assert first.time_ns <= time_ns <= last.time_ns
            assert first.cpu_ns <= cpu_ns <= last.cpu_ns


def test_loss_is_on_inside_its_block_only_and_a_clean_network_adds_no_rule(
    subject: Subject,
) -> None:
    spec = dataclasses.replace(subject.spec, replicas=2)
    with subject.deployer.deploy(spec, "0") as deployment:
        with deployment.impair(NetworkSpec(loss_in=5, loss_out=2)) as on:
            facts = json.loads(json.dumps(on.facts()))
            assert facts["asked"]["loss_in"] == 5
            assert facts["method"]
            drops = on.drops()
            assert all(found.dropped <= found.packets for found in drops)
        with deployment.impair(NetworkSpec(loss_out=2)) as outward:
            assert {found.direction for found in outward.drops()} <= {"out"}
        for _ in range(2):
            with deployment.impair(NetworkSpec()) as off:
                assert off.drops() == ()
                assert off.facts()["rules"] == []
        deployment.verify()


def test_a_deployment_says_where_the_load_engine_is_to_run(subject: Subject) -> None:
    with subject.deployer.deploy(subject.spec, "0") as deployment:
        assert deployment.client_namespace is None or Path(deployment.client_namespace).exists()
        assert set(deployment.client_cpus) <= set(range(deployment.host_cpus))
        assert isinstance(deployment.local, bool)


def test_a_null_server_answers_where_there_is_a_path_to_one(subject: Subject) -> None:
    before = subject.existing()
    with subject.deployer.null_server() as server:
        if server is not None:
            ((host, port),) = server.addresses
            reply = requests.post(f"http://{host}:{port}/any", data=b"x" * 100_000, timeout=10)
            assert reply.status_code == 200
            first, second = server.counters(), server.cpu_times()
            assert len(first) == len(second) == 1
            assert first[0].cpu_ns <= second[0][1]
            with subject.deployer.deploy(subject.spec, "0") as deployment:
                assert server.model_name == deployment.model_name
                assert server.client_namespace == deployment.client_namespace
                assert server.client_cpus == deployment.client_cpus
                assert server.local == deployment.local
    assert subject.existing() == before


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
        deployment.impair(NetworkSpec(loss_in=5, loss_out=5)),
    ):
        raise error
    assert subject.existing() == before
