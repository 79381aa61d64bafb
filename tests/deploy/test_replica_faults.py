"""Replicas that something else ends, pauses, restarts or removes: no fault of a configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.deploy.replica_faults import FAULTS
from tuner.deploy.cgroup import host_oom_kills
from tuner.deploy.deployment import DockerDeployment
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.engine_statistics import counter_source
from tuner.deploy.ownership import LABEL, Owner, remove_container
from tuner.deploy.replica import Replica, ReplicaStart
from tuner.errors import TrialFailed
from tuner.load.burst_progress import BurstProgress
from tuner.load.load_client import LoadClient
from tuner.load.sender import LoadGenerator
from tuner.measure.golden import load_golden
from tuner.serving.container_plan import Ready
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.study import DeploymentSpec, LoadProfile, LoadSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker

LOAD = LoadSpec(
    min_seconds=1.0, max_seconds=1.5, precision=0.5, min_slow=0, warmup_max_seconds=0.5,
    timeout_seconds=2.0,
)  # fmt: skip
MIB = 2**20
SERVER = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def spec(half_plus_two: ModelSpec) -> DeploymentSpec:
    return DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=2.0, memory_mib=256)


@pytest.fixture(scope="module")
def light(engine: DockerClient, serving_image: str) -> Iterator[list[Replica]]:
    """A replica for each fault and one more, whose server only ends when it is told to."""

    def start(_: int) -> Container:
        return engine.containers.run(
            serving_image,
            entrypoint=["python3", "-c", SERVER],
            command=[],
            mem_limit=64 * MIB,
            network_mode="none",
            labels={LABEL: str(Owner.this())},
            detach=True,
        )

    containers: list[Container] = []
    try:
        with ThreadPoolExecutor() as executor:
            containers.extend(executor.map(start, range(len(FAULTS) + 1)))
        yield [_replica(index, container) for index, container in enumerate(containers)]
    finally:
        for container in containers:
            remove_container(container)


def _replica(index: int, container: Container) -> Replica:
    while b"ready" not in container.logs():
        time.sleep(0.01)
    container.reload()
    start = ReplicaStart(container.attrs["State"]["StartedAt"], 0, host_oom_kills())
    nowhere = ("", 0)
    return Replica(index, container, nowhere, nowhere, counter_source(container), Event(), start)


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_something_else_does_to_a_replica_is_told_as_that(
    light: list[Replica], name: str
) -> None:
    """Nobody says that it ran out of memory, or that its server ended by itself."""
    fault, words = FAULTS[name]
    replica = light[list(FAULTS).index(name)]
    light[-1].check_alive()
    replica.check_alive()
    fault(replica.container)
    if name in {"kill", "kill -9"}:
        replica._await_end()  # noqa: SLF001 -- the engine learns of it a moment later
    with pytest.raises(TrialFailed, match=f"^replica {replica.index} .*{words}") as told:
        replica.check_alive()
    assert told.value.mend
    if name in {"docker kill", "kill -9", "docker stop", "docker rm -f"}:
        for read in (replica.counters, replica.cpu_time, replica.limits):
            with pytest.raises(TrialFailed, match=words):
                read()
        assert isinstance(replica.log_tail(), str)
    light[-1].check_alive()


@pytest.mark.parametrize("name", ["kill -9", "docker pause"])
def test_a_replica_that_is_disturbed_while_it_starts_is_not_never_ready(
    docker_deployer: DockerDeployer,
    spec: DeploymentSpec,
    monkeypatch: pytest.MonkeyPatch,
    owned: Callable[[], set[str]],
    name: str,
) -> None:
    before = owned()
    fault, words = FAULTS[name]
    usual = Replica.wait_until_ready

    def disturbed(replica: Replica, ready: Ready, seconds: float) -> None:
        fault(replica.container)
        usual(replica, ready, seconds)

    monkeypatch.setattr(Replica, "wait_until_ready", disturbed)
    with (
        pytest.raises(TrialFailed, match=f"^replica 0 .*{words}"),
        docker_deployer.deploy(spec, "0"),
    ):
        pytest.fail("it was deployed")
    assert owned() == before


@pytest.mark.parametrize("name", ["a pause", "docker rm -f"])
def test_a_replica_that_is_disturbed_in_mid_burst_is_no_measurement(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, name: str
) -> None:
    golden = TENSORFLOW_SERVING.requests["rest"](spec.model, load_golden(spec.model.golden))
    fault, words = FAULTS[name]
    done: list[Replica] = []

    def burst(deployment: DockerDeployment, client: LoadClient) -> None:
        def observe(progress: BurstProgress) -> None:
            if progress.phase == "window" and not done:
                done.extend(deployment.replicas)
                fault(deployment.replicas[0].container)

        client.run(observe)
        deployment.verify()

    profile = LoadProfile(2, LOAD, seed=1)
    with (
        pytest.raises(TrialFailed, match=f"^replica 0 .*{words}"),
        docker_deployer.deploy(spec, "burst") as deployment,
        LoadGenerator().connect(deployment, profile, golden.calls, check=golden.right) as client,
    ):
        burst(deployment, client)
    assert done
