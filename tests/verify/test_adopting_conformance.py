"""What holds for every deployer holds for one that adopts what others bring up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tests.deploy.test_deployer_conformance import *  # noqa: F403 -- the whole suite
from tests.deploy.test_deployer_conformance import Subject
from tests.verify.exported import MODEL, write_model
from tuner.deploy.adopted import AdoptingDeployer
from tuner.deploy.deployment import DockerDeployment
from tuner.deploy.ownership import LABEL, Owner
from tuner.deploy.projects import PROJECT_LABEL
from tuner.serving.image import build_image
from tuner.spec.load import load_model
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker

MIB = 2**20
_AGAIN: Any = {"Name": "unless-stopped"}


class Obedient(AdoptingDeployer):
    """Adopts containers that were made as it is asked: restarted when they die, as in a file."""

    def __init__(self, engine: DockerClient, image: str, model: ModelSpec) -> None:
        super().__init__(self._run, model, ServingSpec(), "test")
        self._engine = engine
        self._served = image
        self._asked: DeploymentSpec | None = None

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[DockerDeployment]:
        self._asked = spec
        with super().deploy(spec, label) as deployment:
            yield deployment

    def _run(self, project: str) -> None:
        spec = self._asked
        assert spec is not None
        labels = {PROJECT_LABEL: project}
        network = self._engine.networks.create(f"{project}-net", labels=dict(labels))
        for index in range(spec.replicas):
            self._engine.containers.run(
                self._served,
                name=f"{project}-{index}",
                environment={"MODEL_NAME": MODEL},
                nano_cpus=round(spec.cpu * 1e9),
                mem_limit=spec.memory_mib * MIB,
                memswap_limit=spec.memory_mib * MIB,
                volumes={str(spec.model.versions): {"bind": f"/models/{MODEL}", "mode": "ro"}},
                network=str(network.name),
                ports={"8501/tcp": ("127.0.0.1", 0)},
                restart_policy=_AGAIN,
                labels=labels,
                detach=True,
            )


def existing(engine: DockerClient) -> Callable[[], set[str]]:
    """Ids of what this process has on the engine, and of what it had brought up."""

    def find() -> set[str]:
        found: set[str] = set()
        for label in (f"{LABEL}={Owner.this()}", PROJECT_LABEL):
            chosen: dict[str, str | list[str] | bool] = {"label": label}
            containers = engine.containers.list(all=True, filters=chosen, ignore_removed=True)
            networks = engine.networks.list(filters=chosen)
            found |= {str(some.id) for some in (*containers, *networks)}
        return found

    return find


@pytest.fixture(scope="module")
def subject(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    directory: Path = tmp_path_factory.mktemp("adopted")
    write_model(directory)
    model = load_model(MODEL, directory)
    spec = DeploymentSpec(model, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
    with Obedient(engine, build_image(engine, print), model) as deployer:
        yield Subject(deployer, existing(engine), spec)
