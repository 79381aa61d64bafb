"""The nodes of a Docker Swarm that run replicas, and their engines.

A node takes part by a label, `tune.engine`, whose value is where this machine reaches the node's
Docker Engine, in the form of `DOCKER_HOST`:

    docker node update --label-add tune.engine=ssh://user@node1 node1

The engine that `docker` uses (`DOCKER_HOST`, a context) is a manager: it runs the services. What
Swarm has no word for is done by the engine of the node: an image is loaded, the swap limit set,
statistics are read, packets dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from docker import DockerClient

from tuner.addresses import address_parts
from tuner.deploy.docker_engine import connect
from tuner.deploy.engine_address import EngineAddress, engine_address
from tuner.deploy.engine_client import CALL_SECONDS, PING_SECONDS
from tuner.deploy.ownership import WORKERS
from tuner.deploy.parallel import in_parallel
from tuner.errors import SetupError, Unreachable
from tuner.spec.host import MIB

ENGINE_LABEL = "tune.engine"

_SET_LABEL = f"docker node update --label-add {ENGINE_LABEL}=ssh://user@host NODE"


@dataclass(frozen=True)
class NodeFacts:
    """What the manager says of a node. `address` is where its published ports are."""

    identity: str
    name: str
    address: str
    engine: str
    state: str
    availability: str
    cpus: int
    memory_mib: int
    version: str

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> NodeFacts:
        """From one object of the engine's `GET /nodes`."""
        spec, described = attributes["Spec"], attributes["Description"]
        resources = described["Resources"]
        return cls(
            attributes["ID"],
            described["Hostname"],
            _address(attributes),
            (spec.get("Labels") or {}).get(ENGINE_LABEL, ""),
            attributes["Status"]["State"],
            spec["Availability"],
            resources["NanoCPUs"] // 10**9,
            resources["MemoryBytes"] // MIB,
            described["Engine"]["EngineVersion"],
        )

    @property
    def away(self) -> str:
        """Why it can run nothing now; empty where it can."""
        if self.state != "ready":
            return f"node {self.name} is {self.state}"
        if self.availability != "active":
            return f"node {self.name} takes no tasks (availability {self.availability})"
        return ""


@dataclass(frozen=True)
class SwarmNode:
    """A node that takes part, with a client of its engine."""

    facts: NodeFacts
    client: DockerClient
    info: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.facts.name


def require_manager(client: DockerClient) -> Mapping[str, Any]:
    """What the engine says of itself. Raises SetupError where it manages no swarm."""
    info = client.info()
    swarm = info.get("Swarm") or {}
    if swarm.get("ControlAvailable"):
        return info
    if swarm.get("LocalNodeState") == "active":
        raise SetupError(
            f"the Docker Engine of {info['Name']} is a worker of its swarm, not a manager",
            "let DOCKER_HOST or a Docker context name a manager (`docker node ls` works there)",
        )
    raise SetupError(
        f"the Docker Engine of {info['Name']} is in no swarm",
        "make one (`docker swarm init`, then `docker swarm join` on the other machines), or let"
        " DOCKER_HOST or a Docker context name its manager",
    )


def node_facts(manager: DockerClient) -> tuple[NodeFacts, ...]:
    """All nodes of the swarm by name, also those that do not take part."""
    nodes = (NodeFacts.of(node.attrs) for node in manager.nodes.list())
    return tuple(sorted(nodes, key=lambda node: (node.name, node.identity)))


def labelled(nodes: Sequence[NodeFacts]) -> tuple[NodeFacts, ...]:
    """Those that take part. Raises SetupError where there is none."""
    chosen = tuple(node for node in nodes if node.engine)
    if not chosen:
        names = ", ".join(node.name for node in nodes)
        raise SetupError(
            f"no node of the swarm ({names}) has the label {ENGINE_LABEL}",
            f"say how each node that is to run replicas is reached: `{_SET_LABEL}`",
        )
    return chosen


def require_present(nodes: Sequence[NodeFacts]) -> None:
    """Raise Unreachable where one of the nodes can run nothing now."""
    for node in nodes:
        if node.away:
            raise Unreachable(
                node.away,
                "bring it back (`docker node ls`, `docker node update --availability active"
                f" {node.name}`), or take it out: `docker node update --label-rm {ENGINE_LABEL}"
                f" {node.name}`",
            )


def node_engine(facts: NodeFacts) -> EngineAddress:
    """Where a node's engine is. Raises SetupError for an address without a lock.

    TLS is that of the manager (`DOCKER_CERT_PATH`, or the context's).
    """
    said_by = f"label {ENGINE_LABEL} of node {facts.name}"
    parts = address_parts(facts.engine)
    scheme = parts.scheme if parts else ""
    tls = engine_address().tls if scheme in {"tcp", "https"} else None
    if scheme not in {"ssh", "unix", "tcp", "https"}:
        raise SetupError(
            f"{said_by}: {facts.engine!r} is not the address of a Docker Engine",
            f"give one such as ssh://user@host: `{_SET_LABEL}`",
        )
    if scheme in {"tcp", "https"} and tls is None:
        raise SetupError(
            f"{said_by}: {facts.engine} has no TLS: whoever reaches that port is root there",
            "use ssh://, or TLS with the certificates of DOCKER_CERT_PATH (DOCKER_TLS_VERIFY=1)",
        )
    return EngineAddress(facts.engine, tls, said_by)


@contextmanager
def joined_nodes(
    manager: DockerClient, nodes: Sequence[NodeFacts], seconds: float = CALL_SECONDS
) -> Iterator[tuple[SwarmNode, ...]]:
    """The nodes, each with a client of its engine.

    Raises Unreachable where one does not answer, SetupError where it is not the engine of its node,
    or differs from the manager's in architecture or version.
    """
    like = require_manager(manager)
    with ExitStack() as world, ThreadPoolExecutor(WORKERS, "node") as executor:
        opened = [world.enter_context(ExitStack()) for _ in nodes]

        def joined(index: int) -> SwarmNode:
            client = opened[index].enter_context(connect(seconds, node_engine(nodes[index])))
            node = SwarmNode(nodes[index], client, client.info())
            require_alike(node.facts, node.info, like)
            return node

        yield tuple(in_parallel(executor, joined, range(len(nodes))))


def require_alike(facts: NodeFacts, engine: Mapping[str, Any], manager: Mapping[str, Any]) -> None:
    """Raise SetupError where an engine is not that of its node, or is unlike the manager's.

    `engine` and `manager` are what the two say of themselves (`GET /info`).
    """
    if (found := (engine.get("Swarm") or {}).get("NodeID")) != facts.identity:
        raise SetupError(
            f"label {ENGINE_LABEL} of node {facts.name}: {facts.engine} is the engine of"
            f" {engine['Name']}, which is {'another node' if found else 'in no swarm'}",
            f"correct the label: `{_SET_LABEL}`",
        )
    for what, mine, theirs in (
        ("architecture", _architecture(manager), _architecture(engine)),
        ("version", manager["ServerVersion"], engine["ServerVersion"]),
    ):
        if mine != theirs:
            raise SetupError(
                f"node {facts.name} has another {what} ({theirs}) than the manager ({mine}): what"
                " is measured would depend on where a replica runs",
                "use nodes that are alike, or take it out: `docker node update --label-rm"
                f" {ENGINE_LABEL} {facts.name}`",
            )


def _architecture(engine: Mapping[str, Any]) -> str:
    return f"{engine['OSType']}/{engine['Architecture']}"


def all_answer() -> bool:
    """Whether manager and nodes can be reached now, and soon."""
    try:
        with connect(PING_SECONDS) as manager:
            nodes = labelled(node_facts(manager))
            require_present(nodes)
            with joined_nodes(manager, nodes, PING_SECONDS):
                return True
    except Unreachable:
        return False


def _address(attributes: Mapping[str, Any]) -> str:
    """The address of a node; a manager may know its own from its managing only."""
    address = str(attributes["Status"].get("Addr") or "")
    managing = str((attributes.get("ManagerStatus") or {}).get("Addr") or "")
    if address in {"", "0.0.0.0", "127.0.0.1"} and managing:  # noqa: S104 -- as the engine says it
        return managing.rpartition(":")[0]
    return address
