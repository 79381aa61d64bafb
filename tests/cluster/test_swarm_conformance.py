"""What holds for every deployer holds for one whose replicas are on several machines."""

from __future__ import annotations

import pytest

from tests.cluster.nodes import Cluster
from tests.deploy.test_deployer_conformance import *  # noqa: F403 -- the whole suite
from tests.deploy.test_deployer_conformance import Subject
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker


@pytest.fixture
def subject(
    swarm: Cluster, swarm_deployer: SwarmDeployer, onnx_model: ModelSpec, serving: ServingSpec
) -> Subject:
    spec = DeploymentSpec(onnx_model, serving, replicas=1, cpu=1.0, memory_mib=256)
    return Subject(swarm_deployer, swarm.existing, spec)
