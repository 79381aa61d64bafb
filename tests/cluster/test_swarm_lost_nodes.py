"""A node that goes in mid-trial, for which no configuration is blamed; a tuner that is killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.nodes import Cluster
from tests.cluster.small_swarm_study import write_swarm_study
from tests.study.forking import ROOT
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.deploy.swarm_nodes import all_answer
from tuner.errors import Unreachable
from tuner.spec.study import DeploymentSpec, ModelSpec, NetworkSpec, ServingSpec

pytestmark = pytest.mark.docker

PATIENCE_SECONDS = 180.0


def wait_until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def spec(onnx_model: ModelSpec, serving: ServingSpec) -> DeploymentSpec:
    return DeploymentSpec(onnx_model, serving, replicas=3, cpu=0.5, memory_mib=192)


@pytest.mark.thorough
def test_a_node_that_is_drained_in_mid_trial(swarm: Cluster, spec: DeploymentSpec) -> None:
    with SwarmDeployer(spec.model, spec.serving, "drained") as deployer:
        with (  # noqa: PT012
            pytest.raises(Unreachable) as caught,
            deployer.deploy(spec, "0") as deployment,
        ):
            swarm.update("node2", Availability="drain")
            deployment.verify()
        assert "node node2 takes no tasks (availability drain)" in caught.value.message
        assert not all_answer()
        with pytest.raises(Unreachable, match="node2"), deployer.deploy(spec, "1"):
            pytest.fail("it was deployed")
        swarm.update("node2", Availability="active")
        assert all_answer()
        with deployer.deploy(spec, "2") as deployment:
            deployment.verify()
    assert swarm.existing() == set()


# Docker's client leaves a socket to the garbage collector where nobody listens any more.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
def test_a_node_that_is_killed_in_mid_trial(swarm: Cluster, spec: DeploymentSpec) -> None:
    lost = swarm.nodes[2]
    with ExitStack() as world:
        deployer = SwarmDeployer(spec.model, spec.serving, "killed")
        world.callback(_back, swarm, lost.name)
        with pytest.raises(Unreachable, match="node3"), deployer:  # noqa: PT012, SIM117
            with deployer.deploy(spec, "0") as deployment, deployment.impair(NetworkSpec(5, 5)):
                lost.kill()
                deployment.verify()
        assert not all_answer()
        assert swarm.existing_on(*swarm.nodes[:2]) == set()
        lost.start()
        lost.wait()
        wait_until(all_answer)
        with deployer, deployer.deploy(spec, "1") as deployment:
            deployment.verify()
            assert len(set(deployment.facts()["nodes"])) == 3
    gc.collect()
    assert swarm.existing() == set()


def _back(swarm: Cluster, name: str) -> None:
    (node,) = [node for node in swarm.nodes if node.name == name]
    if not node.running:
        node.start()
        node.wait()


@pytest.mark.thorough
def test_what_a_killed_tuner_left_is_removed_by_the_next_start(
    swarm: Cluster, onnx_model: ModelSpec, serving: ServingSpec, tmp_path: Path
) -> None:
    write_swarm_study(onnx_model)
    command = [sys.executable, "-m", "tuner", "run", "--study", "small", "--backend", "swarm"]
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=around)
        try:
            wait_until(lambda: _lossy(swarm) or process.poll() is not None)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    left = swarm.existing()
    for kind in ("service ", ": volume ", ": container "):
        assert any(kind in name for name in left), (left, (tmp_path / "log").read_text())
    with SwarmDeployer(onnx_model, serving, "next") as deployer:
        assert swarm.existing().isdisjoint(left)
        assert deployer.swept
    assert swarm.existing() == set()


def _lossy(swarm: Cluster) -> bool:
    """Whether there are helpers on a node: the network of a trial is bad."""
    for node in swarm.nodes:
        with node.client() as client:
            for container in client.containers.list(ignore_removed=True):
                if container.attrs["HostConfig"]["NetworkMode"].startswith("container:"):
                    return True
    return False
