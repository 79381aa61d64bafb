"""What this engine's kernel can do to a network, tried in an empty namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from docker import DockerClient
from docker.models.containers import Container

from tuner.deploy import netem, netfilter
from tuner.deploy.helper import run_commands, start_helper
from tuner.deploy.ownership import remove_container
from tuner.errors import SetupError, TrialFailed
from tuner.serving.base import image_exists

_PORT = 1  # of rules that are only tried


@dataclass(frozen=True)
class NetworkTools:
    """What was found; the default is nothing.

    `ifb` is that what arrives can be redirected through netem (or another discipline);
    `distribution` the name of netem's table of normally distributed delays.
    """

    netfilter: netfilter.Tool | None = None
    netem: bool = False
    ifb: bool = False
    distribution: str | None = None

    def __str__(self) -> str:
        parts = ("netem" if self.netem else "no netem", "ifb" if self.ifb else "no ifb")
        found = f"{self.netfilter} -m statistic" if self.netfilter else "no iptables -m statistic"
        return ", ".join((*parts, found))


def probe_tools(client: DockerClient, image: str, labels: Mapping[str, str]) -> NetworkTools:
    """Set each kind of rule once, on the loopback interface of a container without a network.

    Raises SetupError where `image`, the base image, is not there.
    """
    if not image_exists(client, image):
        raise SetupError(
            f"the base image {image}, whose tools set packet loss, is not there",
            "tune image build",
        )
    helper = start_helper(client, "none", image, labels)
    try:
        lossy, normal = netem.Shape(loss_percent=1.0), netem.Shape(0.0, 1.0, 0.5, None, "normal")
        has_netem = _works(helper, netem.Egress("lo", lossy).add())
        if has_netem:
            run_commands(helper, netem.Egress("lo", lossy).remove())
        # The redirection is tried without netem, so that one may be missed and not the other.
        has_ifb = _works(helper, netem.redirection("lo", "ifb0", None))
        has_normal = has_netem and _works(helper, netem.Egress("lo", normal).add())
        found: netfilter.Tool | None = None
        for tool in netfilter.IPTABLES_TOOLS:
            if _works(helper, netfilter.Dropping(tool, "INPUT", "--dport", _PORT, 1.0).add()):
                found = tool
                break
        return NetworkTools(found, has_netem, has_ifb, "normal" if has_normal else None)
    finally:
        remove_container(helper)


def _works(helper: Container, commands: list[list[str]]) -> bool:
    try:
        run_commands(helper, commands)
    except TrialFailed:
        return False
    return True
