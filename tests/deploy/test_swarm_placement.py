import dataclasses
from pathlib import Path

import pytest

from tests.deploy.swarm_facts import node
from tuner.deploy.swarm_placement import nodes_for
from tuner.spec.study import DeploymentSpec, ModelSpec, NodePlacement, ServingSpec

SMALL, LARGE, MIDDLE = (
    dataclasses.replace(node(name), cpus=cpus, memory_mib=1024)
    for name, cpus in (("small", 1), ("large", 4), ("middle", 2))
)
NODES = (SMALL, LARGE, MIDDLE)


def spec(
    placement: NodePlacement, replicas: int, cpu: float = 1.0, memory: int = 128
) -> DeploymentSpec:
    model = ModelSpec("m", "", Path(), Path())
    return DeploymentSpec(model, ServingSpec(placement=placement), replicas, cpu, memory)


def test_replicas_that_are_spread_may_be_on_every_node() -> None:
    assert nodes_for(spec("spread", 1), NODES) == NODES


@pytest.mark.parametrize(
    ("replicas", "cpu", "memory", "names"),
    [
        (1, 1.0, 128, {"large"}),
        (4, 1.0, 128, {"large"}),
        (5, 1.0, 128, {"large", "middle"}),
        (7, 1.0, 128, {"small", "large", "middle"}),
        (12, 0.3, 64, {"large"}),  # 13 times 0.3 cores are in 4
        (3, 1.0, 512, {"large", "middle"}),  # memory for two on each
        (99, 1.0, 128, {"small", "large", "middle"}),  # nowhere enough: all
    ],
)
def test_packed_replicas_are_on_as_few_nodes_as_hold_them(
    replicas: int, cpu: float, memory: int, names: set[str]
) -> None:
    assert {n.name for n in nodes_for(spec("pack", replicas, cpu, memory), NODES)} == names
