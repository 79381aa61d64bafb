"""Replicas on several machines: where they are, what the kernel there limits, what is measured."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from tests.cluster.nodes import Cluster
from tests.cluster.small_swarm_study import write_swarm_study
from tuner.backends.swarm import swarm_backend
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.errors import TrialFailed, TuneError
from tuner.spec.space import Configuration
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec
from tuner.trial import TrialRequest

pytestmark = pytest.mark.docker

MIB = 2**20


@pytest.fixture
def spec(onnx_model: ModelSpec, serving: ServingSpec) -> DeploymentSpec:
    return DeploymentSpec(onnx_model, serving, replicas=3, cpu=0.5, memory_mib=192)


def test_each_node_runs_a_replica_with_the_limits_in_its_kernel(
    swarm: Cluster, swarm_deployer: SwarmDeployer, spec: DeploymentSpec
) -> None:
    with swarm_deployer.deploy(spec, "0") as deployment:
        facts = deployment.facts()
        assert sorted(facts["nodes"]) == [node.name for node in swarm.nodes]
        assert facts["placement"] == "spread"
        assert facts["limits"] == [{"cpu": 0.5, "memory_mib": 192}] * 3
        by_name = {node.name: node for node in swarm.nodes}
        for name, replica in zip(facts["nodes"], deployment.replicas, strict=True):
            assert replica.address[0] == by_name[name].address
            group = f"{by_name[name].space}/{replica.container.id}"
            memory, cpu = (Path("/sys/fs/cgroup", kind, group) for kind in ("memory", "cpu"))
            for limit in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
                assert int((memory / limit).read_text()) == 192 * MIB
            quota, period = (
                int((cpu / f"cpu.cfs_{part}_us").read_text()) for part in ("quota", "period")
            )
            assert quota / period == 0.5
            host = replica.container.attrs["HostConfig"]
            assert host["PidsLimit"] == 1024
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]


def test_packed_replicas_share_a_node(swarm_deployer: SwarmDeployer, spec: DeploymentSpec) -> None:
    packed = dataclasses.replace(spec.serving, placement="pack")
    with swarm_deployer.deploy(dataclasses.replace(spec, serving=packed), "0") as deployment:
        assert len(deployment.addresses) == 3
        assert len(set(deployment.facts()["nodes"])) == 1


def test_limits_that_somebody_changes_are_seen(
    swarm_deployer: SwarmDeployer, spec: DeploymentSpec
) -> None:
    with swarm_deployer.deploy(dataclasses.replace(spec, replicas=1), "0") as deployment:
        (replica,) = deployment.replicas
        deployment.verify()
        replica.container.update(mem_limit=256 * MIB, memswap_limit=256 * MIB)
        with pytest.raises(TuneError, match="did not get its limits"):
            replica.check_limits(spec)
        with pytest.raises(TrialFailed, match="had its limits changed by something else"):
            deployment.verify()


def test_a_trial_over_two_nodes_that_lose_packets(swarm: Cluster, onnx_model: ModelSpec) -> None:
    spec = write_swarm_study(onnx_model)
    before = swarm.existing()
    with swarm_backend(spec) as backend:
        environment = backend.environment()
        calibration = backend.calibrate()
        asked = Configuration.of({**spec.search_space.baseline(), "cpu": 0.25})
        result = backend.run_trial(TrialRequest(asked, "0000"))
    assert swarm.existing() == before
    assert environment["host"]["cpus"] == sum(node["cpus"] for node in environment["nodes"])
    assert calibration is not None
    assert calibration.capacity_rps.value > 100
    measured = result.measurement
    assert measured is not None
    assert not measured.errors
    assert measured.metrics["nodes"].value == 2
    assert len(set(result.deployment["nodes"])) == 2
    cpu = measured.metrics["cpu_cores"]
    assert 0.05 < cpu.value <= 0.55
    assert cpu.low is not None
    assert measured.metrics["throttled_percent"].value > 10
    assert all(0.02 < replica["cpu_cores"] < 0.3 for replica in measured.replicas)
    rules = result.impairment["rules"]
    assert [(rule["replica"], rule["direction"]) for rule in rules] == [
        (replica, direction) for replica in (0, 1) for direction in ("in", "out")
    ]
    for rule in rules:
        # Five standard deviations of a binomial: one false alarm in some 400,000 runs.
        spread = math.sqrt(rule["packets"] * 0.02 * 0.98)
        assert abs(rule["dropped"] - 0.02 * rule["packets"]) < 5 * spread
    assert set(backend.unmeasurable()).isdisjoint(measured.metrics)
