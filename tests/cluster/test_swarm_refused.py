"""A swarm that cannot be used is refused before anything is deployed, in one line with the mend."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.nodes import Cluster, Node
from tests.cluster.small_swarm_study import write_swarm_study
from tuner import Study
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.errors import SetupError
from tuner.spec.study import ModelSpec, ServingSpec

pytestmark = pytest.mark.docker


@contextmanager
def walled(node: Node, source: str) -> Iterator[None]:
    """A firewall before what a node's containers publish."""

    def rule(verb: str) -> None:
        inside = ["nsenter", f"--net=/run/netns/{node.space}", "iptables", "-w"]
        subprocess.run([*inside, verb, "DOCKER-USER", "-s", source, "-j", "DROP"], check=True)

    rule("-I")
    try:
        yield
    finally:
        rule("-D")


def refused(swarm: Cluster, model: ModelSpec, serving: ServingSpec) -> SetupError:
    with (
        pytest.raises(SetupError) as caught,
        SwarmDeployer(model, serving, "refused"),
    ):
        pytest.fail("it was entered")
    assert swarm.existing() == set()
    assert "\n" not in caught.value.message
    assert caught.value.mend
    return caught.value


def test_an_engine_that_is_no_manager(
    swarm: Cluster, onnx_model: ModelSpec, serving: ServingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", swarm.nodes[1].host)
    assert "node2 is a worker" in refused(swarm, onnx_model, serving).message
    monkeypatch.delenv("DOCKER_HOST")
    assert "is in no swarm" in refused(swarm, onnx_model, serving).message


def test_labels_that_lead_elsewhere(
    swarm: Cluster, onnx_model: ModelSpec, serving: ServingSpec
) -> None:
    second, third = swarm.nodes[1:]
    with swarm.labelled({third.name: second.host}):
        error = refused(swarm, onnx_model, serving)
        assert "label tune.engine of node node3" in error.message
        assert "is the engine of node2, which is another node" in error.message
    with swarm.labelled({third.name: f"unix://{third.directory}/none"}):
        error = refused(swarm, onnx_model, serving)
        assert f"{third.directory}/none (label tune.engine of node node3)" in error.message
    with swarm.labelled({third.name: f"tcp://{third.address}:2375"}):
        assert "has no TLS" in refused(swarm, onnx_model, serving).message


@pytest.mark.thorough
def test_a_firewall_before_a_node(
    swarm: Cluster, onnx_model: ModelSpec, serving: ServingSpec
) -> None:
    second = swarm.nodes[1]
    here = second.address.rpartition(".")[0] + ".254"
    with walled(second, here):
        error = refused(swarm, onnx_model, serving)
    assert error.message.startswith("node node2: this machine does not reach the ports")
    assert "firewall" in error.mend


def test_check_tells_all_of_it(swarm: Cluster, onnx_model: ModelSpec) -> None:
    write_swarm_study(onnx_model)
    study = Study.open("small", backend="swarm")
    found = {check.name: check for check in study.check()}
    assert all(check.ok for check in found.values()), found
    assert {"engine", "nodes", "image", "nodes tried", "connections", "storage"} < found.keys()
    assert {"node node1", "node node2", "node node3"} < found.keys()
    with swarm.labelled({"node3": "unix:///none", "node2": None}):
        found = {check.name: check for check in study.check()}
    assert found["nodes"].found == "2 of 3 take part; not node2"
    assert {name for name, check in found.items() if not check.ok} == {"node node3", "nodes tried"}
    assert "unix:///none" in found["node node3"].found
    assert swarm.existing() == set()
