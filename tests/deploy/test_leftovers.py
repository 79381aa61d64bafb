from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from docker import DockerClient

from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.ownership import LABEL, Owner, sweep
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker

Owned = Callable[[], set[str]]


@pytest.fixture
def spec(half_plus_two: ModelSpec) -> DeploymentSpec:
    return DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)


SCRIPT = """
import sys
from pathlib import Path
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.spec.study import DeploymentSpec, ModelSpec, NetworkSpec, ServingSpec
model = ModelSpec("half_plus_two", "", Path(sys.argv[1]), Path(sys.argv[1]) / "built")
with DockerDeployer(model, ServingSpec(), "killed") as deployer:
    with deployer.deploy(DeploymentSpec(model, ServingSpec(), 2, 1.0, 256), "0") as deployment:
        with deployment.impair(NetworkSpec(loss_in=1)):
            print(deployer._labels["tune.owner"], flush=True)
            input()
"""


def start_and_end(model: ModelSpec, number: signal.Signals) -> str:
    """Deploy in a process of its own and end that with a signal; its owner's label."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(model.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            label = process.stdout.readline().strip()
        finally:
            process.send_signal(number)
    assert label
    return label


def labelled(engine: DockerClient, label: str) -> list[str]:
    chosen = f"{LABEL}={label}"
    containers = engine.containers.list(all=True, filters={"label": chosen}, ignore_removed=True)
    networks = engine.networks.list(filters={"label": chosen})
    volumes = engine.volumes.list(filters={"label": chosen})
    found = [str(container.name) for container in containers]
    found += [str(network.name) for network in networks]
    return sorted(found + [str(volume.name) for volume in volumes])


def test_the_next_run_sweeps_what_a_killed_one_left_and_not_what_a_live_one_has(
    docker_deployer: DockerDeployer,
    half_plus_two: ModelSpec,
    engine: DockerClient,
    owned: Owned,
) -> None:
    assert docker_deployer.environment()
    label = start_and_end(half_plus_two, signal.SIGKILL)
    left, ours = labelled(engine, label), owned()
    # Two replicas, two helpers, their network; the keeper, the client, the run's own network.
    assert len(left) == 8
    assert ours
    with DockerDeployer(half_plus_two, ServingSpec(), "next") as following:
        assert set(left) <= set(following.swept)
        assert labelled(engine, label) == []
        assert ours < owned()
    assert ours == owned()


def test_a_volume_of_a_dead_run_is_swept(engine: DockerClient) -> None:
    dead = dataclasses.replace(Owner.this(), started="1")
    volume = engine.volumes.create(labels={LABEL: str(dead)})
    assert volume.name in sweep(engine)
    assert volume.name not in {found.name for found in engine.volumes.list()}


def test_an_interrupt_leaves_nothing(
    serving_image: str, half_plus_two: ModelSpec, engine: DockerClient
) -> None:
    assert serving_image
    label = start_and_end(half_plus_two, signal.SIGINT)
    assert labelled(engine, label) == []


def test_an_interrupt_while_replicas_come_up_leaves_nothing(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, owned: Owned
) -> None:
    before = owned()
    timer = threading.Timer(0.7, signal.raise_signal, [signal.SIGINT])
    spec = dataclasses.replace(spec, replicas=4, cpu=0.1)
    timer.start()
    with pytest.raises(KeyboardInterrupt), docker_deployer.deploy(spec, "0"):  # noqa: PT012
        timer.join()
        pytest.fail("it was deployed before the interrupt")
    assert owned() == before
