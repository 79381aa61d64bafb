"""Which rules a bad network needs, and at which end of each link they are set. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.deploy import netem, netfilter
from tuner.deploy.network_tools import NetworkTools
from tuner.errors import SetupError
from tuner.spec.study import NetworkSpec

LinkDirection = Literal["in", "out"]
LinkRule = netfilter.Dropping | netem.Egress | netem.Ingress

CLIENT = -1
"""The number of the load engine's end; those of the replicas are 0, 1, ..."""

REPLICA_DEVICE = "eth0"
"""The name of the interface of a container on one network."""


@dataclass(frozen=True)
class PlacedRule:
    """A rule for one direction of one replica's link, and the end in whose namespace it is set."""

    replica: int
    direction: LinkDirection
    asked_percent: float
    end: int
    rule: LinkRule

    @property
    def where(self) -> str:
        """The place of the rule in words."""
        end = "client" if self.end == CLIENT else "replica"
        match self.rule:
            case netfilter.Dropping(chain=chain):
                return f"{chain} of the {end}"
            case netem.Egress():
                return f"egress of the {end}"
            case netem.Ingress():
                return f"ingress of the {end}, by ifb"


def plan_rules(
    network: NetworkSpec,
    tools: NetworkTools,
    addresses: Sequence[str],
    port: int,
    client_device: str | None,
) -> list[PlacedRule]:
    """All rules that `network` needs.

    `addresses` are those of the replicas. `client_device` is the interface in the client's own
    namespace that leads to them, None where it has no such namespace. Raises SetupError where the
    kernel cannot do what is asked.
    """
    shape = netem.Shape(
        0.0, network.delay_ms, network.jitter_ms, network.bandwidth_mbit, tools.distribution
    )
    if network.shaped and not (tools.netem and tools.ifb):
        lacks = [name for name in ("netem", "ifb") if not getattr(tools, name)]
        raise SetupError(
            f"delay, jitter and bandwidth need {' and '.join(lacks)}, which the kernel of this"
            " engine lacks",
            "load the kernel modules sch_netem, ifb, act_mirred and cls_u32 (Ubuntu has them in"
            " linux-modules-extra), or leave these parameters out of the search space",
        )
    placed = []
    for replica, address in enumerate(addresses):
        if network.loss_in or network.shaped:
            lossy = dataclasses.replace(shape, loss_percent=network.loss_in)
            rule = _inward(lossy, tools, port)
            placed.append(PlacedRule(replica, "in", network.loss_in, replica, rule))
        if network.loss_out or network.shaped:
            lossy = dataclasses.replace(shape, loss_percent=network.loss_out)
            end, rule = _outward(lossy, tools, port, replica, address, client_device)
            placed.append(PlacedRule(replica, "out", network.loss_out, end, rule))
    return placed


def _inward(shape: netem.Shape, tools: NetworkTools, port: int) -> LinkRule:
    """The rule for requests, where they arrive at the replica."""
    if tools.netem and tools.ifb:
        return netem.Ingress(REPLICA_DEVICE, 0, shape)
    return netfilter.Dropping(_tool(tools), "INPUT", "--dport", port, shape.loss_percent)


def _outward(
    shape: netem.Shape,
    tools: NetworkTools,
    port: int,
    replica: int,
    address: str,
    client_device: str | None,
) -> tuple[int, LinkRule]:
    """The rule for responses: where they arrive at the client, otherwise where they leave."""
    loss = shape.loss_percent
    if client_device is not None and tools.netem and tools.ifb:
        return CLIENT, netem.Ingress(client_device, replica, shape, address)
    if client_device is not None and tools.netfilter:
        rule = netfilter.Dropping(tools.netfilter, "INPUT", "--sport", port, loss, address)
        return CLIENT, rule
    if tools.netem:
        return replica, netem.Egress(REPLICA_DEVICE, shape)
    return replica, netfilter.Dropping(_tool(tools), "OUTPUT", "--sport", port, loss)


def _tool(tools: NetworkTools) -> netfilter.Tool:
    if tools.netfilter is None:
        raise SetupError(
            "no rule that drops packets can be set on this engine",
            "load the kernel module xt_statistic (and nft_compat), then run `tune check`; or leave"
            " packet loss out of the study with `choices: [0]` for `loss`",
        )
    return tools.netfilter
