from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tuner.deploy import netem, netfilter, offloads
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.helper import run_commands, run_each_command, start_helper
from tuner.deploy.impairment import Links, impaired
from tuner.deploy.network_tools import NetworkTools, probe_tools
from tuner.deploy.ownership import remove_container
from tuner.deploy.rules import REPLICA_DEVICE
from tuner.errors import SetupError
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import Drops
from tuner.serving.base import base_tag
from tuner.serving.servers.call import Call
from tuner.spec.study import (
    DeploymentSpec,
    LoadProfile,
    LoadSpec,
    ModelSpec,
    NetworkSpec,
    ServingSpec,
)

pytestmark = pytest.mark.docker

Owned = Callable[[], set[str]]


def predict(body: bytes) -> Call:
    return Call("/v1/models/half_plus_two:predict", body)


@pytest.fixture
def spec(half_plus_two: ModelSpec) -> DeploymentSpec:
    return DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)


@pytest.fixture
def labels(docker_deployer: DockerDeployer, spec: DeploymentSpec) -> dict[str, str]:
    """Those of the tests' own run, so that what a test leaves goes with it."""
    with docker_deployer.deploy(spec, "labels") as deployment:
        return dict(deployment.links.labels)


def profile(concurrency: int) -> LoadProfile:
    load = LoadSpec(min_seconds=2, max_seconds=2, min_requests=1, warmup_max_seconds=0.5)
    return LoadProfile(concurrency, load, seed=1)


def check(found: Drops) -> None:
    """Five standard deviations of a binomial: one false alarm in some 400,000 runs."""
    share = found.asked_percent / 100
    assert found.packets > 200
    spread = math.sqrt(found.packets * share * (1 - share))
    assert abs(found.dropped - share * found.packets) < 5 * spread


def test_loss_drops_its_share_of_real_packets_in_each_direction(
    docker_deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    spec = dataclasses.replace(spec, replicas=2)
    with (
        docker_deployer.deploy(spec, "0") as deployment,
        LoadGenerator().connect(
            deployment, profile(32), [predict(b'{"instances": [1.0]}')]
        ) as client,
        deployment.impair(NetworkSpec(loss_in=5, loss_out=10)) as network,
    ):
        burst = client.run()
        drops = network.drops()
        assert len(burst.samples) > 100
    assert [(d.replica, d.direction, d.asked_percent) for d in drops] == [
        (replica, *way) for replica in (0, 1) for way in (("in", 5), ("out", 10))
    ]
    for found in drops:
        check(found)
    sent_again = [
        (after.retransmitted or 0) - (before.retransmitted or 0)
        for before, after in zip(burst.counters_start, burst.counters_end, strict=True)
    ]
    assert min(sent_again) > 0


def test_a_long_request_is_lost_by_the_packet(
    docker_deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    """With offloads on, or at the sender, the whole request would be one."""
    body = b'{"instances": [' + b"1.0, " * 8_000 + b"1.0]}"
    with docker_deployer.deploy(spec, "0") as deployment:
        if deployment.client_namespace is None:
            pytest.skip("this process may not enter a network namespace")
        with (
            LoadGenerator().connect(deployment, profile(4), [predict(body)]) as client,
            deployment.impair(NetworkSpec(loss_in=0.5)) as network,
        ):
            burst = client.run()
            (found,) = network.drops()
    assert found.packets > len(burst.samples) * len(body) / 1500


def test_responses_are_dropped_where_they_leave_when_the_client_has_no_namespace(
    serving_image: str,  # noqa: ARG001 -- only has to be there
    spec: DeploymentSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As for a user who is not root."""
    monkeypatch.setattr(
        "tuner.deploy.client_namespace.enter_namespace", lambda _: "Operation not permitted"
    )
    with (
        DockerDeployer(spec.model, ServingSpec(), "host") as deployer,
        deployer.deploy(spec, "0") as deployment,
        LoadGenerator().connect(
            deployment, profile(32), [predict(b'{"instances": [1.0]}')]
        ) as client,
        deployment.impair(NetworkSpec(loss_out=10)) as network,
    ):
        assert deployment.client_namespace is None
        client.run()
        (found,), facts = network.drops(), network.facts()
    check(found)
    assert facts["where"] == {"out": "OUTPUT of the replica"}
    assert "left as they are" in facts["offloads"]["client"]
    assert not any(facts["offloads"]["replica 0"]["during"].values())


def test_rules_helpers_and_offloads_are_changed_only_while_the_network_is_bad(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, engine: DockerClient, owned: Owned
) -> None:
    with docker_deployer.deploy(spec, "0") as deployment:
        links = deployment.links
        shared = f"container:{links.replicas[0].id}"
        witness = start_helper(engine, shared, links.image, links.labels)
        ends = [(witness, REPLICA_DEVICE)]
        if links.client is not None:
            ends.append((links.client.container, links.client.device))
        before, state = owned(), [_state(*end) for end in ends]
        with deployment.impair(NetworkSpec()):
            assert owned() == before
        with (  # noqa: PT012
            pytest.raises(RuntimeError, match="burst"),
            deployment.impair(NetworkSpec(loss_in=5, loss_out=5)) as network,
        ):
            assert len(owned() - before) == 1
            assert all(_state(*end) != was for end, was in zip(ends, state, strict=True))
            facts = network.facts()
            for end in facts["offloads"].values():
                assert end == "left as they are: it has no network namespace of its own" or (
                    any(end["before"].values()) and not any(end["during"].values())
                )
            raise RuntimeError("burst")
        assert owned() == before
        assert [_state(*end) for end in ends] == state


def _state(container: Container, device: str) -> list[str]:
    """Rules of both tools, disciplines and offloads of a namespace, without their counters."""
    commands = [
        *([tool, "-w", "-S"] for tool in netfilter.IPTABLES_TOOLS),
        ["tc", "qdisc", "show"],
        ["ip", "-br", "link"],
        offloads.show_offloads(device),
    ]
    return run_each_command(container, commands)


def test_what_the_kernel_lacks_is_a_setup_error_that_names_it(
    docker_deployer: DockerDeployer, spec: DeploymentSpec, owned: Owned
) -> None:
    with docker_deployer.deploy(spec, "0") as deployment:
        before = owned()
        links: Links = dataclasses.replace(deployment.links, tools=NetworkTools("iptables"))
        with (
            pytest.raises(SetupError, match="netem and ifb"),
            impaired(links, NetworkSpec(delay_ms=5)),
        ):
            pytest.fail("it was set")
        assert owned() == before


def test_the_probe_finds_what_can_be_set(engine: DockerClient, labels: dict[str, str]) -> None:
    tools = probe_tools(engine, base_tag(), labels)
    assert tools.netfilter in netfilter.IPTABLES_TOOLS
    helper = start_helper(engine, "none", base_tag(), labels)
    try:
        for found, rule in (
            (tools.netem, netem.Egress("lo", netem.Shape(loss_percent=1))),
            (tools.netem and tools.ifb, netem.Ingress("lo", 0, netem.Shape(delay_ms=1))),
        ):
            *_, text = run_each_command(helper, [*rule.add(), rule.listing])
            assert (rule.counted(text) is not None) == found
            *_, text = run_each_command(helper, [*rule.remove(), rule.listing])
            assert not rule.present(text)
    finally:
        remove_container(helper)


@pytest.mark.parametrize("end", ["replica", "client"])
def test_what_arrives_passes_the_redirection(
    docker_deployer: DockerDeployer,
    spec: DeploymentSpec,
    engine: DockerClient,
    end: Literal["replica", "client"],
) -> None:
    """Proven with a plain queue in netem's place, since not every kernel has netem."""
    with docker_deployer.deploy(spec, "0") as deployment:
        links = deployment.links
        if docker_deployer.environment()["network_tools"]["ifb"] is False:
            pytest.skip("this kernel has no ifb")
        if end == "replica":
            shared = f"container:{links.replicas[0].id}"
            container = start_helper(engine, shared, links.image, links.labels)
            rule = netem.Ingress(REPLICA_DEVICE, 0, netem.Shape())
        else:
            if links.client is None:
                pytest.skip("this process may not enter a network namespace")
            container = links.client.container
            rule = netem.Ingress(links.client.device, 3, netem.Shape(), links.addresses[0])
        plain = [
            [*command[: command.index("netem")], "pfifo"] if "netem" in command else command
            for command in rule.add()
        ]
        with LoadGenerator().connect(
            deployment, profile(4), [predict(b'{"instances": [1.0]}')]
        ) as client:
            run_commands(container, plain)
            burst = client.run()
            *_, listing = run_commands(container, [rule.listing])
            assert rule.present(listing)
            *_, after = run_each_command(container, [*rule.remove(), rule.listing])
        assert not rule.present(after)
        counted = rule.counted(listing.replace('"pfifo"', '"netem"'))
        assert counted is not None
        packets, dropped = counted
        assert packets > len(burst.samples) > 100
        assert dropped == 0
