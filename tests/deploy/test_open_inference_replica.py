"""Real replicas of the servers that speak the Open Inference Protocol."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from tests.serving.onnx_models import build_half_plus_two_onnx
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.replica_answers import replica_answers
from tuner.errors import Infeasible, InputError
from tuner.interrupts import ended_whole
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import RequestOutcome
from tuner.serving.image import build_image
from tuner.serving.servers.onnx_runtime import IMAGE, ONNX_RUNTIME
from tuner.spec.study import (
    DeploymentSpec,
    LoadProfile,
    LoadProtocol,
    LoadSpec,
    ModelSpec,
    ServingSpec,
)

pytestmark = pytest.mark.docker

SERVING = ServingSpec(
    server="onnxruntime",
    flags={"enable_batching": "true", "intra_op_num_threads": "1"},
    ready_seconds=30,
)
LOAD = LoadSpec(min_seconds=0.5, max_seconds=1, precision=0.2, min_slow=0)


@pytest.fixture(scope="module")
def model(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    build_image(engine, print, recipe=IMAGE)
    return build_half_plus_two_onnx(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def deployer(model: ModelSpec) -> Iterator[DockerDeployer]:
    with ended_whole(DockerDeployer(model, SERVING, "open-inference")) as found:
        yield found


def spec_of(model: ModelSpec, protocol: LoadProtocol = "rest") -> DeploymentSpec:
    return DeploymentSpec(model, SERVING, 1, 0.5, 96, protocol=protocol)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_load_is_answered_rightly_under_its_limits(
    deployer: DockerDeployer, model: ModelSpec, protocol: LoadProtocol
) -> None:
    requests = ONNX_RUNTIME.requests_in(protocol, model, ONNX_RUNTIME.golden(model))
    profile = LoadProfile(4, LOAD, seed=1, protocol=protocol)
    with (
        deployer.deploy(spec_of(model, protocol), protocol) as deployment,
        LoadGenerator().connect(
            deployment, profile, requests.calls, check=requests.right
        ) as client,
    ):
        outcomes = client.run().samples.outcome
    assert len(outcomes) > 100
    assert set(outcomes.tolist()) == {RequestOutcome.OK}


def test_too_little_memory_is_infeasible(deployer: DockerDeployer, model: ModelSpec) -> None:
    with (
        pytest.raises(Infeasible, match="memory"),
        deployer.deploy(replace(spec_of(model), memory_mib=8), "small"),
    ):
        pytest.fail("it serves in 8 MiB")


def test_a_damaged_model_is_refused_in_the_words_of_onnx_runtime(
    model: ModelSpec, tmp_path: Path
) -> None:
    assert model.server == "onnxruntime"
    damaged = build_half_plus_two_onnx(tmp_path)
    (damaged.versions / "1" / "model.onnx").write_bytes(b"damaged")
    body = b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}'
    with pytest.raises(InputError, match=r"ONNX Runtime does not load it: .*INVALID_PROTOBUF"):
        replica_answers(damaged, [body])
