"""Real replicas of MLServer. They are opt-in because its image takes minutes to build."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from docker import DockerClient

from tests.serving.subjects import described_sklearn
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.interrupts import ended_whole
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import RequestOutcome
from tuner.serving.image import build_image
from tuner.serving.servers.mlserver import IMAGE, MLSERVER
from tuner.spec.study import DeploymentSpec, LoadProfile, LoadSpec, ServingSpec

LOAD = LoadSpec(min_seconds=0.5, max_seconds=1, precision=0.2, min_slow=0)


@pytest.mark.docker
@pytest.mark.chaos
def test_mlserver_serves_a_model_of_scikit_learn(engine: DockerClient, tmp_path: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    build_image(engine, print, recipe=IMAGE)
    model = described_sklearn(tmp_path)
    x = np.random.default_rng(0).random((200, 2)) - 0.5
    joblib.dump(
        linear_model.LogisticRegression().fit(x, (x[:, 0] > 0).astype(int)),
        model.versions / "1" / "model.joblib",
    )
    for workers in ("0", "1"):
        serving = ServingSpec(
            server="mlserver",
            env={"MLSERVER_PARALLEL_WORKERS": workers, "MLSERVER_MODEL_MAX_BATCH_SIZE": "4"},
            ready_seconds=60,
        )
        with ended_whole(DockerDeployer(model, serving, "mlserver")) as deployer:
            for protocol in ("rest", "grpc"):
                requests = MLSERVER.requests_in(protocol, model, MLSERVER.golden(model))
                profile = LoadProfile(4, LOAD, seed=1, protocol=protocol)
                spec = DeploymentSpec(model, serving, 1, 1.0, 768, protocol=protocol)
                with (
                    deployer.deploy(spec, protocol) as deployment,
                    LoadGenerator().connect(
                        deployment, profile, requests.calls, check=requests.right
                    ) as client,
                ):
                    outcomes = client.run().samples.outcome
                assert set(outcomes.tolist()) == {RequestOutcome.OK}
