from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy import netem, netfilter
from tuner.deploy.network_tools import NetworkTools
from tuner.deploy.rules import CLIENT, plan_rules
from tuner.errors import SetupError
from tuner.spec.study import NetworkSpec

ADDRESSES = ("172.18.0.3", "172.18.0.4")
IPTABLES = NetworkTools("iptables")
ALL = NetworkTools("iptables", netem=True, ifb=True, distribution="normal")
NO_IFB = NetworkTools("iptables", netem=True)
NETEM_ONLY = NetworkTools(netem=True, ifb=True)

losses = st.sampled_from([0.0, 0.5, 5.0])
networks = st.builds(
    NetworkSpec,
    loss_in=losses,
    loss_out=losses,
    delay_ms=st.sampled_from([0.0, 10.0]),
    jitter_ms=st.sampled_from([0.0, 2.0]),
    bandwidth_mbit=st.none() | st.just(10.0),
)


def kinds(network: NetworkSpec, tools: NetworkTools, device: str | None) -> list[object]:
    """Of the first replica: direction, end and kind (or chain) of each rule."""
    return [
        (
            placed.direction,
            "client" if placed.end == CLIENT else placed.end,
            rule.chain if isinstance(rule := placed.rule, netfilter.Dropping) else type(rule),
        )
        for placed in plan_rules(network, tools, ADDRESSES[:1], 8501, device)
    ]


def test_each_direction_is_impaired_at_its_receiver_where_that_can_be() -> None:
    both = NetworkSpec(loss_in=1, loss_out=1)
    assert kinds(both, IPTABLES, "eth1") == [("in", 0, "INPUT"), ("out", "client", "INPUT")]
    assert kinds(both, IPTABLES, None) == [("in", 0, "INPUT"), ("out", 0, "OUTPUT")]
    assert kinds(both, ALL, "eth1") == [
        ("in", 0, netem.Ingress),
        ("out", "client", netem.Ingress),
    ]
    assert kinds(both, ALL, None) == [("in", 0, netem.Ingress), ("out", 0, netem.Egress)]
    assert kinds(both, NO_IFB, "eth1") == [("in", 0, "INPUT"), ("out", "client", "INPUT")]
    assert kinds(both, NO_IFB, None) == [("in", 0, "INPUT"), ("out", 0, netem.Egress)]
    assert kinds(NetworkSpec(loss_out=1), ALL, "eth1") == [("out", "client", netem.Ingress)]


@given(networks, st.sampled_from([None, "eth2"]))
def test_with_netem_everything_can_be_had(network: NetworkSpec, device: str | None) -> None:
    for tools in (ALL, NETEM_ONLY):
        placed = plan_rules(network, tools, ADDRESSES, 8501, device)
        assert bool(placed) == (not network.clean)
        for rule in placed:
            shape = rule.rule.shape if not isinstance(rule.rule, netfilter.Dropping) else None
            assert shape is not None
            asked = network.loss_in if rule.direction == "in" else network.loss_out
            assert shape.loss_percent == rule.asked_percent == asked
            assert (shape.delay_ms, shape.bandwidth_mbit) == (
                network.delay_ms,
                network.bandwidth_mbit,
            )
        if network.shaped:
            # Delay and bandwidth are of both directions of every replica's link.
            assert [(p.replica, p.direction) for p in placed] == [
                (replica, direction) for replica in (0, 1) for direction in ("in", "out")
            ]


@given(networks)
def test_in_one_namespace_no_two_rules_are_in_each_others_way(network: NetworkSpec) -> None:
    placed = plan_rules(network, ALL, ADDRESSES, 8501, "eth1")
    for end in {p.end for p in placed}:
        rules = [p.rule for p in placed if p.end == end and isinstance(p.rule, netem.Ingress)]
        assert len({rule.ifb for rule in rules}) == len(rules)
        if end == CLIENT:
            assert [rule.source for rule in rules] == list(ADDRESSES)


@pytest.mark.parametrize(
    ("tools", "missing"),
    [(IPTABLES, "netem and ifb"), (NO_IFB, "ifb"), (NetworkTools("iptables", ifb=True), "netem")],
)
@pytest.mark.parametrize("network", [NetworkSpec(delay_ms=1), NetworkSpec(bandwidth_mbit=1)])
def test_delay_and_bandwidth_need_netem_and_ifb(
    tools: NetworkTools, missing: str, network: NetworkSpec
) -> None:
    with pytest.raises(SetupError, match=f"need {missing}, which") as caught:
        plan_rules(network, tools, ADDRESSES, 8501, "eth1")
    assert "sch_netem" in caught.value.mend


def test_without_any_tool_loss_is_a_setup_error_and_a_clean_network_is_none() -> None:
    assert plan_rules(NetworkSpec(), NetworkTools(), ADDRESSES, 8501, None) == []
    with pytest.raises(SetupError, match="drops packets"):
        plan_rules(NetworkSpec(loss_in=1), NetworkTools(), ADDRESSES, 8501, None)
