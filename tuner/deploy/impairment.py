"""Packet loss on a replica's link, set inside the replica's network namespace.

A short-lived helper container shares the namespace and alone has NET_ADMIN, so neither the
replica nor the host needs any right. Packets are dropped by netfilter's `statistic` match:
requests at the replica's INPUT (the receiver's side), responses at the replica's OUTPUT, each
with the asked probability, only on the serving port. See iptables-extensions(8).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from docker import DockerClient
from docker.models.containers import Container

from tuner.deploy.ownership import remove_container
from tuner.deploy.together import together
from tuner.errors import TrialFailed

Tool = Literal["iptables", "iptables-legacy"]
TOOLS: tuple[Tool, ...] = ("iptables", "iptables-legacy")
"""In the order tried: what the distribution made the default, then the older interface."""

_CHAINS = {"in": ("INPUT", "--dport"), "out": ("OUTPUT", "--sport")}


def rules(port: int, loss_percent: float) -> list[list[str]]:
    """The rules of both directions, without the tool and without `-A` or `-D`.

    Each direction first counts what it sees (a rule without a target), then drops its share.
    """
    found = []
    for chain, port_flag in _CHAINS.values():
        match = [chain, "-p", "tcp", port_flag, str(port)]
        drop = ["-m", "statistic", "--mode", "random", "--probability", f"{loss_percent / 100:.6f}"]
        found += [match, [*match, *drop, "-j", "DROP"]]
    return found


@dataclass(frozen=True)
class Drops:
    """Packets that one direction's rules saw and dropped."""

    direction: str
    packets: int
    dropped: int


def parse_drops(listing: str, port: int) -> list[Drops]:
    """Counters from what `iptables -nvxL` prints; empty when no rule for `port` is there."""
    found = []
    for direction, (chain, port_flag) in _CHAINS.items():
        block = re.search(rf"^Chain {chain} .*?(?=^Chain|\Z)", listing, re.MULTILINE | re.DOTALL)
        side = f"{port_flag[2]}pt"
        seen = dropped = None
        for line in (block.group(0) if block else "").splitlines():
            if not re.search(rf"\b{side}:{port}\b", line):
                continue
            count = int(line.split()[0])
            if "DROP" in line:
                dropped = count
            else:
                seen = count
        if seen is not None and dropped is not None:
            found.append(Drops(direction, seen, dropped))
    return found


def has_rules(listing: str, port: int) -> bool:
    """Whether `listing` shows any rule for `port`, whole or not."""
    return re.search(rf"\b[ds]pt:{port}\b", listing) is not None


@dataclass(frozen=True)
class Loss:
    """Loss that is on; `facts()` reads the rules' counters."""

    loss_percent: float
    tool: Tool | None
    helpers: Sequence[Container]
    port: int

    def facts(self) -> Mapping[str, Any]:
        """Method, asked percentage and, per replica and direction, packets seen and dropped."""
        if self.tool is None:
            return {"loss_percent": 0.0, "method": None, "rules": []}
        return {
            "loss_percent": self.loss_percent,
            "method": f"{self.tool} -m statistic",
            "where": {"in": "INPUT of the replica", "out": "OUTPUT of the replica"},
            "rules": [
                {
                    "replica": index,
                    "direction": drop.direction,
                    "packets": drop.packets,
                    "dropped": drop.dropped,
                }
                for index, helper in enumerate(self.helpers)
                for drop in parse_drops(_run(helper, self.tool, [["-nvxL"]]), self.port)
            ],
        }


@contextmanager
def impaired(
    client: DockerClient,
    replicas: Sequence[Container],
    helper_image: str,
    tool: Tool | None,
    port: int,
    loss_percent: float,
    labels: Mapping[str, str],
    executor: Executor,
) -> Iterator[Loss]:
    """Drop `loss_percent` of the packets of each direction of every replica inside the block.

    Zero creates nothing. `tool` is what `probe_tool` found. At the end the rules are removed and
    their absence is confirmed. Raises TrialFailed when a rule cannot be set or is still there
    afterwards.
    """
    if loss_percent == 0:
        yield Loss(0.0, None, (), port)
        return
    if tool is None:
        raise TrialFailed("packet loss cannot be set on this engine: see `tune check`")
    helpers: dict[int, Container] = {}

    def impair(index: int) -> None:
        network = f"container:{replicas[index].id}"
        helper = helpers[index] = start_helper(client, network, helper_image, labels)
        _run(helper, tool, [["-A", *rule] for rule in rules(port, loss_percent)])

    def relieve(helper: Container) -> None:
        # The filter table of this namespace is the tuner's alone: nobody else has NET_ADMIN there.
        listing = _run(helper, tool, [["-F", "INPUT"], ["-F", "OUTPUT"], ["-nvxL"]])
        if has_rules(listing, port):
            raise TrialFailed(f"packet loss could not be removed:\n{listing}")

    try:
        together(executor, impair, range(len(replicas)))
        yield Loss(loss_percent, tool, [helpers[i] for i in range(len(replicas))], port)
    finally:
        try:
            together(executor, relieve, helpers.values())
        finally:
            together(executor, remove_container, helpers.values())


def start_helper(
    client: DockerClient, network: str, image: str, labels: Mapping[str, str]
) -> Container:
    """A container that waits in the given network namespace, root there with NET_ADMIN alone."""
    helper = client.containers.create(
        image,
        ["sleep", "infinity"],
        network_mode=network,
        cap_drop=["ALL"],
        cap_add=["NET_ADMIN", "NET_RAW"],
        security_opt=["no-new-privileges"],
        user="0",
        labels=dict(labels),
        stop_signal="SIGKILL",
        tmpfs={"/run": "size=1m"},
        read_only=True,
    )
    try:
        helper.start()
    except BaseException:
        remove_container(helper)
        raise
    return helper


def probe_tool(client: DockerClient, image: str, labels: Mapping[str, str]) -> Tool | None:
    """The first tool that can set the rules on this kernel, tried in an empty namespace."""
    helper = start_helper(client, "none", image, labels)
    try:
        for tool in TOOLS:
            try:
                _run(helper, tool, [["-A", *rule] for rule in rules(1, 1.0)])
            except TrialFailed:
                continue
            return tool
        return None
    finally:
        remove_container(helper)


def _run(helper: Container, tool: Tool, arguments: list[list[str]]) -> str:
    """Run the tool once per argument list, in one go, stopping at the first failure."""
    # -w: another process of the namespace may hold the table's lock for a moment.
    script = " && ".join(shlex.join([tool, "-w", *words]) for words in arguments)
    code, output = helper.exec_run(["sh", "-c", script])
    assert isinstance(output, bytes)
    text = str(output.decode(errors="replace"))
    if code != 0:
        raise TrialFailed(f"`{script}` failed in a network namespace: {text.strip()}")
    return text
