from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from docker import DockerClient
from docker.errors import NotFound

from tuner.deploy import cgroup
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.engine_statistics import CounterSource
from tuner.deploy.replica import Replica, ReplicaStart
from tuner.errors import Infeasible, SetupError, TrialFailed, TuneError
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker

MIB = 2**20
Owned = Callable[[], set[str]]


@pytest.fixture
def spec(half_plus_two: ModelSpec) -> DeploymentSpec:
    return DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)


def test_a_replica_is_limited_hardened_and_has_no_way_out(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, engine: DockerClient
) -> None:
    spec = dataclasses.replace(spec, cpu=0.5)
    with docker_deployer.deploy(spec, "trial 7/a") as deployment:
        (replica,) = deployment.replicas
        assert replica.source.limits() == cgroup.Limits(0.5, 256 * MIB, 0)
        container = engine.containers.get(str(replica.container.id))
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert host["NanoCpus"] == 500_000_000
        assert host["Memory"] == host["MemorySwap"] == 256 * MIB
        assert host["PidsLimit"] > 0
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["IpcMode"] == "none"
        assert config["User"].partition(":")[0] not in {"", "0", "root"}
        (mount,) = container.attrs["Mounts"]
        assert (mount["Destination"], mount["RW"]) == ("/models/half_plus_two", False)
        (name,) = container.attrs["NetworkSettings"]["Networks"]
        assert engine.networks.get(name).attrs["Internal"]
        code, _ = container.exec_run(["touch", "/models/half_plus_two/x"])
        assert code != 0


def test_flags_of_the_trial_reach_the_replica_and_a_bad_one_is_never_ready(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, owned: Owned
) -> None:
    before = owned()
    spec = dataclasses.replace(spec, serving=ServingSpec(flags={"no_such_flag": "1"}))
    with pytest.raises(Infeasible) as caught, docker_deployer.deploy(spec, "0"):
        pytest.fail("it was deployed")
    assert caught.value.kind == "never ready"
    assert "no_such_flag" in caught.value.log_tail
    assert owned() == before


@pytest.mark.parametrize("memory_mib", [4, 16])
def test_one_infeasible_replica_of_several_leaves_nothing(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, owned: Owned, memory_mib: int
) -> None:
    before = owned()
    spec = dataclasses.replace(spec, replicas=4, memory_mib=memory_mib)
    with pytest.raises(Infeasible) as caught, docker_deployer.deploy(spec, "0"):
        pytest.fail("it was deployed")
    assert caught.value.kind == "out of memory"
    assert owned() == before


def test_a_wrong_answer_fails_the_trial_and_leaves_nothing(
    serving_image: str, wrong_model: ModelSpec, spec: DeploymentSpec, owned: Owned
) -> None:
    assert serving_image
    before = owned()
    with DockerDeployer(wrong_model, ServingSpec(), "wrong") as deployer:
        prepared = owned()
        with (
            pytest.raises(TrialFailed, match=r"golden request 0 .* expected .*3\.5.* got .*2\.5"),
            deployer.deploy(dataclasses.replace(spec, model=wrong_model, replicas=2), "0"),
        ):
            pytest.fail("it was deployed")
        assert owned() == prepared
    assert owned() == before


def test_a_model_that_is_not_built_is_a_setup_error(half_plus_two: ModelSpec) -> None:
    model = dataclasses.replace(half_plus_two, built=Path("nowhere"))
    with (
        pytest.raises(SetupError, match="not built"),
        DockerDeployer(model, ServingSpec(), "test"),
    ):
        pytest.fail("it was entered")


@dataclasses.dataclass(frozen=True)
class Unlimited:
    """A host that ignored a limit."""

    found: cgroup.Limits

    def limits(self) -> cgroup.Limits:
        return self.found


@pytest.mark.parametrize(
    "found",
    [
        cgroup.Limits(None, 256 * MIB, 0),
        cgroup.Limits(2.0, 256 * MIB, 0),
        cgroup.Limits(1.0, None, None),
        cgroup.Limits(1.0, 512 * MIB, 0),
        cgroup.Limits(1.0, 256 * MIB, 256 * MIB),
        cgroup.Limits(1.0, 256 * MIB, None),
    ],
)
def test_a_limit_that_was_not_applied_is_an_error(
    found: cgroup.Limits, spec: DeploymentSpec, engine: DockerClient
) -> None:
    container = engine.containers.prepare_model({"Id": "0"})
    source = cast("CounterSource", Unlimited(found))
    nowhere = ("", 0)
    replica = Replica(0, container, nowhere, nowhere, source, threading.Event(), ReplicaStart(""))
    with pytest.raises(TuneError, match="did not get its limits"):
        replica.check_limits(spec)


def test_a_private_page_cache_is_charged_to_the_replica(
    serving_image: str, half_plus_two: ModelSpec
) -> None:
    assert serving_image
    serving = ServingSpec(page_cache="private")
    spec = DeploymentSpec(half_plus_two, serving, replicas=1, cpu=2.0, memory_mib=1024)
    with (
        DockerDeployer(half_plus_two, serving, "private") as deployer,
        deployer.deploy(spec, "0") as deployment,
    ):
        (counters,) = deployment.counters()
        assert counters.memory_peak_bytes > 200 * MIB
        assert deployer.environment()["page_cache"] == "private"


def test_a_removed_network_is_no_error(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, engine: DockerClient
) -> None:
    with docker_deployer.deploy(spec, "0") as deployment:
        container = deployment.replicas[0].container
        (name,) = container.attrs["NetworkSettings"]["Networks"]
        container.remove(force=True)
        network = engine.networks.get(name)
        for endpoint in network.attrs["Containers"]:
            network.disconnect(endpoint, force=True)
        network.remove()
    with pytest.raises(NotFound):
        engine.networks.get(name)
