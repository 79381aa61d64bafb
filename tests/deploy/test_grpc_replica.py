"""Real replicas asked in gRPC: the same samples and checks, on a port that loses packets too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.deploy.conftest import build_half_plus_two
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.replica_answers import replica_answers
from tuner.errors import InputError
from tuner.load.sender import LoadGenerator
from tuner.measure.golden import load_golden
from tuner.measure.samples import RequestOutcome
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.study import (
    DeploymentSpec,
    LoadProfile,
    LoadSpec,
    ModelSpec,
    NetworkSpec,
    ServingSpec,
)

pytestmark = pytest.mark.docker

LOAD = LoadSpec(min_seconds=1.0, max_seconds=2.0, precision=0.2, min_slow=0)
PROFILE = LoadProfile(4, LOAD, seed=1, protocol="grpc")


def spec_of(model: ModelSpec) -> DeploymentSpec:
    return DeploymentSpec(model, ServingSpec(), 2, 1.0, 256, protocol="grpc")


def test_replicas_answer_in_grpc_and_packets_of_it_are_lost(
    docker_deployer: DockerDeployer, half_plus_two: ModelSpec
) -> None:
    golden = TENSORFLOW_SERVING.requests["grpc"](half_plus_two, load_golden(half_plus_two.golden))
    with docker_deployer.deploy(spec_of(half_plus_two), "grpc") as deployment:
        assert {port for _, port in deployment.addresses} == {8500}
        assert deployment.facts()["protocol"] == "grpc"
        with (
            LoadGenerator().connect(
                deployment, PROFILE, golden.calls, check=golden.right
            ) as client,
            deployment.impair(NetworkSpec(loss_in=5, loss_out=5)) as impairment,
        ):
            burst = client.run()
            drops = impairment.drops()
    assert set(burst.samples.outcome.tolist()) == {RequestOutcome.OK}
    assert set(burst.samples.replica.tolist()) == {0, 1}
    assert {(d.replica, d.direction) for d in drops} == {
        (r, d) for r in (0, 1) for d in ("in", "out")
    }
    assert all(found.packets > 20 for found in drops)
    assert sum(found.dropped for found in drops) > 0


def test_wrong_answers_in_grpc_are_found(
    docker_deployer: DockerDeployer, half_plus_two: ModelSpec, tmp_path: Path
) -> None:
    wrong = build_half_plus_two(tmp_path, prediction=3.5)
    golden = TENSORFLOW_SERVING.requests["grpc"](wrong, load_golden(wrong.golden))
    spec = replace(spec_of(half_plus_two), replicas=1)
    with (
        docker_deployer.deploy(spec, "grpc") as deployment,
        LoadGenerator().connect(deployment, PROFILE, golden.calls, check=golden.right) as client,
    ):
        outcomes = client.run().samples.outcome
    assert np.count_nonzero(outcomes == RequestOutcome.WRONG_ANSWER) >= 4


def test_a_first_run_needs_no_golden_answers(serving_image: str, tmp_path: Path) -> None:
    assert serving_image
    model = build_half_plus_two(tmp_path)
    bodies = [b'{"instances": [1.0, 3.0]}', b'{"inputs": {"x": [4]}}']
    answers = replica_answers(model, bodies)
    assert list(answers.bodies) == [b'{"predictions":[2.5,3.5]}', b'{"outputs":[4.0]}']
    assert answers.need is not None
    assert 20 < answers.need.memory_mib < 500
    assert 0.1 < answers.need.start_cpu_seconds < 60


def test_what_a_replica_refuses_is_told_in_its_words(serving_image: str, tmp_path: Path) -> None:
    assert serving_image
    model = build_half_plus_two(tmp_path)
    with pytest.raises(InputError, match=r"does not run it \(request 0\): .*not of expected type"):
        replica_answers(model, [b'{"instances": ["text"]}'])
    (model.versions / "00000123" / "variables" / "variables.index").write_bytes(b"cut short")
    with pytest.raises(InputError, match=r"does not load it: .*file is too short"):
        replica_answers(model, [b'{"instances": [1.0]}'])
