from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.export import up
from tuner.export.docker_run import SCRIPT_LABEL, to_docker_run
from tuner.export.served import served_by
from tuner.serving.image import build_image

pytestmark = pytest.mark.docker


def run(file: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["sh", str(file), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def containers(engine: DockerClient, project: str) -> list[Container]:
    return engine.containers.list(all=True, filters={"label": f"{SCRIPT_LABEL}={project}"})


def test_the_script_starts_serves_and_leaves_nothing(engine: DockerClient, tmp_path: Path) -> None:
    study, model = up.record(build_image(engine, print)), up.versions(tmp_path)
    port = up.free_ports()
    file = tmp_path / "run.sh"
    file.write_text(to_docker_run(served_by(study, study.trials[0]), model, port))
    project = f"tune-{study.name}-0"
    try:
        run(file, "--dry-run")
        assert containers(engine, project) == []
        assert "is ready" in run(file)
        first = containers(engine, project)
        assert len(first) == 2
        for container in first:
            up.check_limits(container, model)
        for replica in (port, port + 1):
            up.check_answers(replica)
        first[0].stop(timeout=0)
        run(file, "up")
        assert {c.id for c in containers(engine, project)} == {c.id for c in first}
        for replica in (port, port + 1):
            up.check_answers(replica)
        other = tmp_path / "other.sh"
        other.write_text(to_docker_run(served_by(study, study.trials[0]), model, port + 1))
        refused = subprocess.run(["sh", str(other)], capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "take it down first" in refused.stderr
    finally:
        run(file, "down")
    assert containers(engine, project) == []
    assert engine.networks.list(names=[project]) == []
    run(file, "down")


def test_a_replica_that_does_not_start_is_told_with_its_last_words(
    engine: DockerClient, tmp_path: Path
) -> None:
    study = up.record(build_image(engine, print))
    broken = {**study.serving, "ready_seconds": 1, "flags": {"no_such_flag": "1"}}
    study = replace(study, serving=broken)
    file = tmp_path / "run.sh"
    model = up.versions(tmp_path)
    file.write_text(to_docker_run(served_by(study, study.trials[0]), model, up.free_ports()))
    try:
        ended = subprocess.run(["sh", str(file)], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "no_such_flag" in ended.stderr
        assert "was not ready within 2 s" in ended.stderr
    finally:
        run(file, "down")
