"""A built model that needs no training, and deployers that serve it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.ownership import LABEL, Owner
from tuner.serving.image import build_image
from tuner.spec.study import ModelSpec, ServingSpec

SOURCE = Path(__file__).parents[1] / "data" / "half_plus_two"


def build_half_plus_two(directory: Path, prediction: float = 2.5) -> ModelSpec:
    """TensorFlow Serving's test model below `directory`, said to answer `prediction` to 1.0."""
    built = directory / "built"
    shutil.copytree(SOURCE, built / "versions")
    pair = {
        "request": {"instances": [1.0]},
        "response": {"predictions": [prediction]},
    }
    (built / "golden.jsonl").write_text(json.dumps(pair) + "\n")
    return ModelSpec("half_plus_two", "x / 2 + 2", directory, built)


@pytest.fixture(scope="session")
def half_plus_two(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return build_half_plus_two(tmp_path_factory.mktemp("half_plus_two"))


@pytest.fixture
def wrong_model(tmp_path: Path) -> ModelSpec:
    """A model that does not answer what it is said to."""
    return build_half_plus_two(tmp_path, prediction=3.5)


@pytest.fixture(scope="session")
def serving_image(engine: DockerClient) -> str:
    return build_image(engine, print)


@pytest.fixture(scope="session")
def docker_deployer(
    serving_image: str,  # noqa: ARG001 -- only has to be there
    half_plus_two: ModelSpec,
) -> Iterator[DockerDeployer]:
    with DockerDeployer(half_plus_two, ServingSpec(), "test") as deployer:
        yield deployer


@pytest.fixture(scope="session")
def owned(engine: DockerClient) -> Callable[[], set[str]]:
    """Ids of the containers and networks that this process has on the engine."""

    def find() -> set[str]:
        label = f"{LABEL}={Owner.this()}"
        containers = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        networks = engine.networks.list(filters={"label": label})
        return {str(found.id) for found in (*containers, *networks)}

    return find
