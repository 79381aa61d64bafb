from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.export import up
from tuner.export.compose import to_compose
from tuner.export.served import served_by
from tuner.serving.image import build_image

pytestmark = pytest.mark.docker


@contextmanager
def brought_up(engine: DockerClient, compose: list[str], file: Path) -> Iterator[list[Container]]:
    """The containers of a compose file; nothing is left of them."""
    project = f"tune-test-{uuid.uuid4().hex[:12]}"
    command = [*compose, "-p", project, "-f", str(file)]
    labelled: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
    try:
        done = subprocess.run([*command, "up", "-d"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        yield engine.containers.list(filters=labelled)
    finally:
        subprocess.run([*command, "down", "-v"], capture_output=True, check=True)
    assert engine.containers.list(all=True, filters=labelled) == []


def test_an_exported_configuration_starts_serves_and_is_limited(
    engine: DockerClient, compose: list[str], tmp_path: Path
) -> None:
    study, model = up.record(build_image(engine, print)), up.versions(tmp_path)
    port = up.free_ports()
    file = tmp_path / "compose.yaml"
    file.write_text(to_compose(served_by(study, study.trials[0]), model, port))
    with brought_up(engine, compose, file) as containers:
        for replica in (port, port + 1):
            up.wait_until_ready(replica)
            up.check_answers(replica)
            up.check_answers_in_grpc(replica - 2)
        assert len(containers) == 2
        for container in containers:
            up.check_limits(container, model)
            up.wait_until_healthy(container)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_load_balancer_answers_for_the_replicas(
    engine: DockerClient, compose: list[str], tmp_path: Path, protocol: str
) -> None:
    study, model = up.record(build_image(engine, print)), up.versions(tmp_path)
    nginx = up.nginx_image(engine)
    first = up.free_ports()
    port = first if protocol == "rest" else first - 1
    file = tmp_path / "compose.yaml"
    file.write_text(to_compose(served_by(study, study.trials[0]), model, first, balancer=nginx))
    check = up.check_answers if protocol == "rest" else up.check_answers_in_grpc
    try:
        with brought_up(engine, compose, file) as containers:
            if protocol == "rest":
                up.wait_until_ready(port)
            else:
                up.check_answers_in_grpc(port, patience=up.READY_SECONDS)
            for _ in range(20):  # each on a connection of its own, so on any of nginx's workers
                check(port)
            published = {c.name: c.attrs["HostConfig"]["PortBindings"] for c in containers}
            assert len(published) == 3
            assert [bool(ports) for ports in published.values()].count(True) == 1
            next(c for c in containers if "balancer" not in str(c.name)).kill()
            for _ in range(20):
                check(port)
    finally:
        engine.images.remove(nginx)
