"""A bad network between the load engine and the replicas, set inside their network namespaces.

Each direction is impaired at its receiver where that is possible: requests in the replica's
namespace, responses in the client's. Only there are packets those that a link carries: at the
sender TCP hands down whole requests, and learns when one is dropped. If the client has no namespace
of its own, responses are impaired where they leave the replica. While the network is bad,
segmentation offloads are off at both ends, as far as tune controls them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from docker.models.containers import Container

from tuner.deploy import offloads
from tuner.deploy.helper import run_commands, run_each_command, start_helper
from tuner.deploy.network_tools import NetworkTools
from tuner.deploy.ownership import remove_container
from tuner.deploy.parallel import in_parallel
from tuner.deploy.rules import CLIENT, REPLICA_DEVICE, PlacedRule, plan_rules
from tuner.errors import TrialFailed
from tuner.measure.samples import Drops
from tuner.spec.study import NetworkSpec


@dataclass(frozen=True)
class ClientEnd:
    """The client's end: the container with its namespace, and the interface to the replicas."""

    container: Container
    device: str


@dataclass(frozen=True)
class Links:
    """The links to the replicas of one deployment, and what it takes to change them.

    Replicas may be on several engines, each of which has the base image `image`.
    """

    replicas: Sequence[Container]
    addresses: Sequence[str]
    port: int
    client: ClientEnd | None
    tools: NetworkTools
    image: str
    labels: Mapping[str, str]
    executor: Executor


@dataclass
class _End:
    """One network namespace while it is impaired."""

    name: str
    container: Container
    device: str
    placed: Sequence[PlacedRule]
    offloads: dict[str, Mapping[str, bool]] = field(default_factory=dict)

    def set(self) -> None:
        rules = [command for placed in self.placed for command in placed.rule.add()]
        show = offloads.show_offloads(self.device)
        before, _, during, *_ = run_commands(
            self.container,
            [show, offloads.switch_offloads(self.device, offloads.OFF), show, *rules],
        )
        self.offloads["before"] = offloads.parse_offloads(before)
        self.offloads["during"] = offloads.parse_offloads(during)

    def undo(self) -> None:
        """Remove all rules and reset the offloads. Raises TrialFailed where that cannot be
        confirmed.
        """
        commands = [command for placed in self.placed for command in placed.rule.remove()]
        before = self.offloads.get("before")
        if before is not None:
            commands.append(offloads.switch_offloads(self.device, before))
        listings = self._listings()
        last = [*listings, offloads.show_offloads(self.device)]
        *texts, now = run_each_command(self.container, [*commands, *last])[-len(last) :]
        listed = dict(zip(listings, texts, strict=True))
        for placed in self.placed:
            if placed.rule.present(text := listed[placed.rule.listing]):
                raise TrialFailed(f"rules of {self.name} could not be removed:\n{text}")
        if before is not None and offloads.parse_offloads(now) != before:
            raise TrialFailed(f"offloads of {self.name} could not be reset:\n{now}")

    def drops(self) -> list[Drops]:
        listings = self._listings()
        if not listings:
            return []
        listed = dict(zip(listings, run_commands(self.container, listings), strict=True))
        drops = []
        for placed in self.placed:
            counted = placed.rule.counted(text := listed[placed.rule.listing])
            if counted is None:
                raise TrialFailed(f"rules of {self.name} have disappeared:\n{text}")
            drops.append(Drops(placed.replica, placed.direction, placed.asked_percent, *counted))
        return drops

    def _listings(self) -> list[tuple[str, ...]]:
        return list(dict.fromkeys(placed.rule.listing for placed in self.placed))


@dataclass(frozen=True)
class BadNetwork:
    """An `Impairment`. Without ends the network is clean."""

    network: NetworkSpec
    ends: Sequence[_End]
    executor: Executor

    def drops(self) -> tuple[Drops, ...]:
        return tuple(drops for drops in self._counted() if drops.asked_percent)

    def facts(self) -> Mapping[str, Any]:
        where: dict[str, str] = {}
        methods: dict[str, str] = {}
        for end in self.ends:
            for placed in end.placed:
                where[placed.direction] = placed.where
                methods[placed.direction] = placed.rule.method
        offload_facts: dict[str, Any] = {end.name: end.offloads for end in self.ends}
        if self.ends and "client" not in offload_facts:
            offload_facts["client"] = "left as they are: it has no network namespace of its own"
        return {
            "asked": dataclasses.asdict(self.network),
            "method": " and ".join(dict.fromkeys(methods.values())) or None,
            "where": where,
            "offloads": offload_facts,
            "rules": [dataclasses.asdict(drops) for drops in self._counted()],
        }

    def _counted(self) -> list[Drops]:
        by_end = in_parallel(self.executor, _End.drops, self.ends)
        every = (drops for at_end in by_end for drops in at_end)
        return sorted(every, key=lambda drops: (drops.replica, drops.direction))


@contextmanager
def impaired(links: Links, network: NetworkSpec) -> Iterator[BadNetwork]:
    """Impair the links inside the block; see `Deployment.impair`.

    A clean network starts nothing. The end of the block removes the rules, resets the offloads and
    confirms both.
    """
    if network.clean:
        yield BadNetwork(network, (), links.executor)
        return
    device = links.client.device if links.client else None
    rules = plan_rules(network, links.tools, links.addresses, links.port, device)
    ends: dict[int, _End] = {}

    def begin(index: int) -> None:
        mine = [placed for placed in rules if placed.end == index]
        if index == CLIENT:
            assert links.client is not None
            end = _End("client", links.client.container, links.client.device, mine)
        else:
            replica = links.replicas[index]
            assert replica.client is not None
            shared = f"container:{replica.id}"
            helper = start_helper(replica.client, shared, links.image, links.labels)
            end = _End(f"replica {index}", helper, REPLICA_DEVICE, mine)
        ends[index] = end
        end.set()

    indices = [*range(len(links.replicas)), *([CLIENT] if links.client else [])]
    try:
        in_parallel(links.executor, begin, indices)
        yield BadNetwork(network, [ends[index] for index in indices], links.executor)
    finally:
        helpers = [end.container for index, end in ends.items() if index != CLIENT]
        try:
            in_parallel(links.executor, _End.undo, list(ends.values()))
        finally:
            in_parallel(links.executor, remove_container, helpers)
