"""A swarm of three machines in namespaces, made once, and a model that it serves.

The server is ONNX Runtime's: its image is a quarter of the other one, and each node has to load it.
Only the manager has the images at first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from tests.cluster.nodes import Cluster, cluster, why_no_nodes
from tests.serving.onnx_models import build_half_plus_two_onnx
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.serving.base import base_tag
from tuner.serving.image import build_image
from tuner.serving.servers.table import server_named
from tuner.spec.study import ModelSpec, ServingSpec

NODES = 3
SERVER = "onnxruntime"


@pytest.fixture(scope="session")
def swarm(engine: DockerClient) -> Iterator[Cluster]:
    if reason := why_no_nodes():
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (CI is set, so nothing is skipped)", pytrace=False)
        pytest.skip(reason)
    recipe = server_named(SERVER).image
    assert recipe is not None
    image = build_image(engine, print, recipe=recipe)
    with cluster(NODES) as made:
        made.load(engine, [base_tag(), image], made.manager)
        yield made


@pytest.fixture(autouse=True)
def _at_the_manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user has it: Docker's command line speaks to the manager, in one's own directory."""
    monkeypatch.chdir(tmp_path)
    if "swarm" in request.fixturenames:
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("swarm").manager.host)


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return build_half_plus_two_onnx(tmp_path_factory.mktemp("half_plus_two"))


@pytest.fixture(scope="session")
def serving() -> ServingSpec:
    return ServingSpec(server=SERVER)


@pytest.fixture(scope="module")
def swarm_deployer(
    swarm: Cluster, onnx_model: ModelSpec, serving: ServingSpec
) -> Iterator[SwarmDeployer]:
    """One for all tests of a file that break nothing which it needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", swarm.manager.host)
        deployer = SwarmDeployer(onnx_model, serving, "test")
        deployer.__enter__()
    try:
        yield deployer
    finally:
        deployer.__exit__(None, None, None)
