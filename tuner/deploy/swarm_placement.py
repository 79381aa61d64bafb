"""Which nodes of a swarm a service may use. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.deploy.swarm_nodes import NodeFacts
from tuner.spec.study import DeploymentSpec


def nodes_for(spec: DeploymentSpec, nodes: Sequence[NodeFacts]) -> Sequence[NodeFacts]:
    """The nodes among which Swarm spreads the replicas of `spec` evenly.

    All of them for `spread`. For `pack` the fewest whose CPUs and memory hold all replicas, the
    roomiest first; all where even they do not.
    """
    if spec.serving.placement == "spread":
        return nodes
    roomiest = sorted(nodes, key=lambda node: -_room(node, spec))
    left = spec.replicas
    for count, node in enumerate(roomiest, start=1):
        left -= _room(node, spec)
        if left <= 0:
            return roomiest[:count]
    return nodes


def _room(node: NodeFacts, spec: DeploymentSpec) -> int:
    """How many replicas it holds."""
    # A tenth of a core may be a little more or less than that.
    return min(int(node.cpus / spec.cpu + 1e-9), node.memory_mib // spec.memory_mib)
