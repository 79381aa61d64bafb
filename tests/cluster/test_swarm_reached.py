"""A swarm whose engines are reached as those of other machines: by SSH, or a port with TLS."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import TLS_PORT, Cluster, Node
from tests.cluster.small_swarm_study import write_swarm_study
from tests.cluster.ssh_servers import ssh_servers
from tuner import Study
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.errors import Unreachable
from tuner.spec.study import DeploymentSpec, ModelSpec, NetworkSpec, ServingSpec

pytestmark = [pytest.mark.docker, pytest.mark.thorough]


@pytest.fixture(scope="module")
def ssh(swarm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ssh_servers(swarm, tmp_path_factory.mktemp("ssh")) as programs:
        yield programs


def by_ssh(node: Node) -> str:
    return f"ssh://{node.name}"


def by_tls(node: Node) -> str:
    return f"tcp://{node.address}:{TLS_PORT}"


@pytest.fixture(params=["ssh", "tls"])
def _reached(
    request: pytest.FixtureRequest, swarm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    if request.param == "ssh":
        address, programs = by_ssh, request.getfixturevalue("ssh")
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    else:
        address = by_tls
        monkeypatch.setenv("DOCKER_CERT_PATH", str(swarm.manager.certificates))
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_HOST", address(swarm.manager))
    with swarm.labelled({node.name: address(node) for node in swarm.nodes}):
        yield


def tunnels() -> set[str]:
    """The `ssh` processes of this one."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in listed.stdout.splitlines() if " -N " in line}


@pytest.mark.usefixtures("_reached")
def test_a_study_is_checked_and_run(swarm: Cluster, onnx_model: ModelSpec) -> None:
    write_swarm_study(onnx_model)
    study = Study.open("small", backend="swarm")
    found = study.check()
    assert all(check.ok for check in found), [check for check in found if not check.ok]
    study.run()
    trials = study.record.trials
    assert [trial.outcome for trial in trials] == ["measured", "measured"]
    lossy = [trial for trial in trials if trial.configuration["loss"]]
    assert lossy
    assert all(r["dropped"] for trial in lossy for r in trial.impairment["rules"])
    assert swarm.existing() == set()
    assert tunnels() == set()


# Docker's client leaves a socket to the garbage collector where nobody listens any more.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
def test_a_node_whose_ssh_connection_is_lost_is_a_fault_of_the_world(
    swarm: Cluster,
    ssh: Path,
    onnx_model: ModelSpec,
    serving: ServingSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{ssh}:{os.environ['PATH']}")
    spec = DeploymentSpec(onnx_model, serving, replicas=3, cpu=0.5, memory_mib=192)
    with swarm.labelled({"node2": "ssh://node2"}):
        with (  # noqa: PT012
            pytest.raises(Unreachable, match="node2"),
            SwarmDeployer(onnx_model, serving, "cut") as deployer,
            deployer.deploy(spec, "0") as deployment,
            deployment.impair(NetworkSpec(5, 5)),
        ):
            assert len(tunnels()) == 1
            subprocess.run(["pkill", "--parent", str(os.getpid()), "--exact", "ssh"], check=True)
            deployment.verify()
        gc.collect()
        with (
            SwarmDeployer(onnx_model, serving, "after") as deployer,
            deployer.deploy(spec, "1") as deployment,
        ):
            deployment.verify()
    assert swarm.existing() == set()
    assert tunnels() == set()
