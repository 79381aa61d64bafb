"""What this engine's kernel can do to a network, found by trying it in an empty namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
    """What works on this kernel; by default nothing.

    `netfilter` is the command that can drop packets at random. `netem` works on what leaves an
    interface; with `ifb` it works on what arrives too. `distribution` is the name of netem's table
    of normally distributed delays.
    """

    netfilter: netfilter.Tool | None = None
    netem: bool = False
    ifb: bool = False
    distribution: str | None = None

    def __str__(self) -> str:
        if self.netem and self.ifb:
            return "packet loss, delay, jitter and bandwidth by netem"
        lacks = " and no ".join(name for name in ("netem", "ifb") if not getattr(self, name))
        if self.netfilter is None:
            return f"nothing (this kernel has no {lacks}, and no iptables with `statistic`)"
        return (
            f"packet loss by {self.netfilter} (this kernel has no {lacks}, so delay, jitter and"
            " bandwidth cannot be set)"
        )


def probe_tools(client: DockerClient, image: str, labels: Mapping[str, str]) -> NetworkTools:
    """Set each kind of rule once, on the loopback interface of a container without a network.

    Raises SetupError where `image`, the base image, is missing.
    """
    if not image_exists(client, image):
        raise SetupError(
            f"the base image {image}, whose tools set packet loss, is missing",
            "tune image build",
        )
    helper = start_helper(client, "none", image, labels)
    try:
        lossy, normal = netem.Shape(loss_percent=1.0), netem.Shape(0.0, 1.0, 0.5, None, "normal")
        has_netem = _works(helper, netem.Egress("lo", lossy).add())
        if has_netem:
            run_commands(helper, netem.Egress("lo", lossy).remove())
        # The redirection is tried without netem: a kernel may have the one and not the other.
        has_ifb = _works(helper, netem.redirection("lo", "ifb0", None))
        has_normal = has_netem and _works(helper, netem.Egress("lo", normal).add())
        working = (
            tool
            for tool in netfilter.IPTABLES_TOOLS
            if _works(helper, netfilter.Dropping(tool, "INPUT", "--dport", _PORT, 1.0).add())
        )
        distribution = "normal" if has_normal else None
        return NetworkTools(next(working, None), has_netem, has_ifb, distribution)
    finally:
        remove_container(helper)


def common_tools(each: Iterable[NetworkTools]) -> NetworkTools:
    """What works on each of several kernels, by the same commands."""
    found = tuple(each)

    def same(name: str) -> Any:  # noqa: ANN401 -- one of a field
        values = {getattr(tools, name) for tools in found}
        return values.pop() if len(values) == 1 else None

    return NetworkTools(
        same("netfilter"),
        all(tools.netem for tools in found),
        all(tools.ifb for tools in found),
        same("distribution"),
    )


def _works(helper: Container, commands: list[list[str]]) -> bool:
    try:
        run_commands(helper, commands)
    except TrialFailed:
        return False
    return True
