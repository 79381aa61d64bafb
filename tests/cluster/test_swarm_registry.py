"""A registry that all nodes reach, Debian's: nodes pull from it what was pushed to it."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from tests.cluster.nodes import Cluster, Node
from tuner.deploy.swarm_images import bring_image
from tuner.deploy.swarm_nodes import NodeFacts, SwarmNode
from tuner.serving.base import base_tag

PROGRAM = "docker-registry"

pytestmark = [
    pytest.mark.docker,
    pytest.mark.thorough,
    pytest.mark.skipif(
        shutil.which(PROGRAM) is None,
        reason=f"{PROGRAM} is not installed (Debian's package of that name)",
    ),
]

PORT = 5000

CONFIGURATION = """\
version: 0.1
log: {{accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: {address}}}
"""


@dataclass(frozen=True)
class Registry:
    address: str
    log: Path

    @property
    def blobs(self) -> list[str]:
        """Who asked for layers so far."""
        asked = [line for line in self.log.read_text().splitlines() if '"GET /v2/' in line]
        return [line.split()[0] for line in asked if "/blobs/" in line]


@contextmanager
def registry(directory: Path, host: str) -> Iterator[Registry]:
    address = f"{host}:{PORT}"
    file = directory / "registry.yml"
    file.write_text(CONFIGURATION.format(directory=directory / "images", address=address))
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([PROGRAM, "serve", str(file)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while not answers(address):
                assert server.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline, "the registry is silent"
                time.sleep(0.1)
            yield Registry(address, directory / "log")
        finally:
            server.kill()
            server.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=1):
            return True
    except urllib.error.URLError:
        return False


def lacking(client: DockerClient, reference: str) -> None:
    """Remove the image, with all its names."""
    with suppress(ImageNotFound):
        client.images.remove(str(client.images.get(reference).id), force=True)


def as_seen(node: Node, client: DockerClient) -> SwarmNode:
    facts = NodeFacts(
        node.name, node.name, node.address, node.host, "ready", "active", 1, 1, "20.10"
    )
    return SwarmNode(facts, client, client.info())


def test_what_was_pushed_is_pulled_and_copied_where_the_registry_is_gone(
    swarm: Cluster, tmp_path: Path
) -> None:
    other = swarm.nodes[1]
    reference = base_tag()
    with swarm.manager.client() as manager, other.client() as engine:
        node = as_seen(other, engine)
        lacking(engine, reference)
        # The tests copied it to the manager: it is of no registry.
        assert bring_image(manager, node, reference) == "copied"
        assert bring_image(manager, node, reference) == "there"
        lacking(engine, reference)
        with registry(tmp_path, swarm.here) as served:
            image = manager.images.get(reference)
            pushed = f"{served.address}/base"
            assert image.tag(pushed, "1")
            assert "error" not in manager.images.push(pushed, "1")
            assert bring_image(manager, node, reference) == "pulled"
            assert set(served.blobs) == {other.address}
            assert engine.images.get(reference).id == image.id
        lacking(engine, reference)
        assert bring_image(manager, node, reference) == "copied"
        assert engine.images.get(reference).id == image.id
        manager.images.remove(f"{pushed}:1")
