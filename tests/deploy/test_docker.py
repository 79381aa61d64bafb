from __future__ import annotations

import dataclasses
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import NotFound

from tuner.deploy import cgroup, impairment
from tuner.deploy.docker import DockerDeployer
from tuner.deploy.ownership import LABEL
from tuner.deploy.replica import Replica
from tuner.errors import Infeasible, SetupError, TrialFailed, TuneError
from tuner.load.sender import LoadGenerator
from tuner.serving.image import base_tag
from tuner.spec.study import DeploymentSpec, LoadProfile, LoadSpec, ModelSpec, ServingSpec

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


def test_a_replica_that_dies_is_infeasible_wherever_it_is_noticed(
    docker_deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    spec = dataclasses.replace(spec, replicas=2)
    with (  # noqa: PT012 -- leaving the deployment raises it
        pytest.raises(Infeasible, match="replica 1 was killed"),
        docker_deployer.deploy(spec, "0") as deployment,
    ):
        deployment.replicas[1].container.kill()
        with pytest.raises(Infeasible, match="replica 1 was killed"):
            deployment.verify()
        with pytest.raises(Infeasible, match="replica 1 was killed"):
            deployment.counters()
        raise TrialFailed("connection reset")  # what a load generator sees of it


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
    replica = Replica(0, container, ("", 0), Unlimited(found), threading.Event())  # type: ignore[arg-type]
    with pytest.raises(TuneError, match="did not get its limits"):
        replica.check_limits(spec)


def profile(concurrency: int) -> LoadProfile:
    load = LoadSpec(min_seconds=2, max_seconds=2, min_requests=1, warmup_max_seconds=0.5)
    return LoadProfile(concurrency, load, seed=1)


def test_loss_drops_its_share_of_real_requests_in_both_directions(
    docker_deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    spec = dataclasses.replace(spec, replicas=2)
    with (
        docker_deployer.deploy(spec, "0") as deployment,
        LoadGenerator().connect(deployment, profile(32), [b'{"instances": [1.0]}']) as client,
        deployment.impair(5) as loss,
    ):
        burst = client.run()
        facts = loss.facts()
        assert len(burst.samples) > 100
    assert facts["loss_percent"] == 5
    assert facts["method"].endswith("-m statistic")
    assert [(rule["replica"], rule["direction"]) for rule in facts["rules"]] == [
        (0, "in"),
        (0, "out"),
        (1, "in"),
        (1, "out"),
    ]
    for rule in facts["rules"]:
        packets, dropped = rule["packets"], rule["dropped"]
        assert packets > 200
        # Five standard deviations of a binomial: one false alarm in some 400,000 runs.
        assert abs(dropped - 0.05 * packets) < 5 * math.sqrt(packets * 0.05 * 0.95)


def test_rules_and_helpers_are_there_only_while_loss_is_on(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, engine: DockerClient, owned: Owned
) -> None:
    with docker_deployer.deploy(spec, "0") as deployment:
        before = owned()
        with deployment.impair(0):
            assert owned() == before
        with pytest.raises(RuntimeError, match="burst"), deployment.impair(5) as loss:  # noqa: PT012
            assert len(owned() - before) == 1
            assert len(loss.facts()["rules"]) == 2
            raise RuntimeError("burst")
        assert owned() == before
        network = f"container:{deployment.replicas[0].container.id}"
        witness = impairment.start_helper(engine, network, base_tag(), deployment.labels)
        for tool in impairment.TOOLS:
            code, listing = witness.exec_run([tool, "-nvxL"])
            assert isinstance(listing, bytes)
            assert code != 0 or not impairment.has_rules(listing.decode(), deployment.plan.port)


SCRIPT = """
import sys
from pathlib import Path
from tuner.deploy.docker import DockerDeployer
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec
model = ModelSpec("half_plus_two", "", Path(sys.argv[1]), Path(sys.argv[1]) / "built")
with DockerDeployer(model, ServingSpec(), "killed") as deployer:
    with deployer.deploy(DeploymentSpec(model, ServingSpec(), 2, 1.0, 256), "0") as deployment:
        with deployment.impair(1):
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
    return sorted([str(found.name) for found in containers] + [str(n.name) for n in networks])


def test_the_next_run_sweeps_what_a_killed_one_left_and_not_what_a_live_one_has(
    docker_deployer: DockerDeployer,
    half_plus_two: ModelSpec,
    engine: DockerClient,
    owned: Owned,
) -> None:
    assert docker_deployer.environment()
    label = start_and_end(half_plus_two, signal.SIGKILL)
    left, ours = labelled(engine, label), owned()
    assert len(left) == 6  # two replicas, two helpers, a network and the keeper
    assert ours
    with DockerDeployer(half_plus_two, ServingSpec(), "next") as following:
        assert set(left) <= set(following.swept)
        assert labelled(engine, label) == []
        assert ours < owned()
    assert ours == owned()


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
        engine.networks.get(name).remove()
    with pytest.raises(NotFound):
        engine.networks.get(name)
