"""What holds for every deployer holds for one whose replicas are on several machines."""

from __future__ import annotations

import pytest

from tests.cluster.nodes import Cluster
from tests.deploy.test_deployer_conformance import (
    Subject,
    test_a_deployment_has_an_address_and_counters_for_each_replica,
    test_a_deployment_says_where_the_load_engine_is_to_run,
    test_a_null_server_answers_where_there_is_a_path_to_one,
    test_cpu_times_are_those_of_the_counters,
    test_loss_is_on_inside_its_block_only_and_a_clean_network_adds_no_rule,
    test_memory_that_holds_no_replica_is_infeasible,
    test_nothing_is_left_when_the_block_raises,
    test_the_environment_can_be_recorded,
    test_what_the_replicas_wrote_is_bounded_text,
)
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

__all__ = [
    "test_a_deployment_has_an_address_and_counters_for_each_replica",
    "test_a_deployment_says_where_the_load_engine_is_to_run",
    "test_a_null_server_answers_where_there_is_a_path_to_one",
    "test_cpu_times_are_those_of_the_counters",
    "test_loss_is_on_inside_its_block_only_and_a_clean_network_adds_no_rule",
    "test_memory_that_holds_no_replica_is_infeasible",
    "test_nothing_is_left_when_the_block_raises",
    "test_the_environment_can_be_recorded",
    "test_what_the_replicas_wrote_is_bounded_text",
]

pytestmark = pytest.mark.docker


@pytest.fixture
def subject(
    swarm: Cluster, swarm_deployer: SwarmDeployer, onnx_model: ModelSpec, serving: ServingSpec
) -> Subject:
    spec = DeploymentSpec(onnx_model, serving, replicas=1, cpu=1.0, memory_mib=256)
    return Subject(swarm_deployer, swarm.existing, spec)
