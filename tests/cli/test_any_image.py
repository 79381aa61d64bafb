"""An image of the user's, explored end to end by commands alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from docker import DockerClient

from tests.cli.command import Tune
from tests.serving.subjects import SERVICE_IMAGE, build_service_image
from tuner.spec.host import Host
from tuner.spec.load import load_study

ADD = ("models", "add", "--name", "web", "--image", SERVICE_IMAGE)
SERVER = "app:app --host 0.0.0.0 --port 8080"
STUDY = """
model: web
search_space:
  concurrency: {type: int, role: scenario, choices: [2], default: 2}
  cpu: {type: float, role: decision, choices: [1], default: 1}
  memory: {type: int, role: decision, choices: [128], default: 128}
  replicas: {type: int, role: decision, choices: [1], default: 1}
  loss: {type: float, role: scenario, choices: [0], default: 0}
  backlog: {type: int, role: decision, choices: [8, 64], default: 64, flag: backlog}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 20, precision: 0.5, warmup_max_seconds: 0.5,
  max_foreign_percent: 100}
budget: {trials: 2}
"""


@pytest.mark.docker
def test_an_image_is_added_explored_and_exported_without_python(
    tune: Tune, engine: DockerClient
) -> None:
    build_service_image(engine)
    try:
        refused = tune(*ADD, "--command", SERVER, "--request", "GET /failing")
        assert refused.code == 2
        assert 'an error inside: {"error": "out of luck"}' in refused.err
        calls = ("--request", 'POST /double {"x": 4}', "--request", "GET /")
        added = tune(*ADD, "--command", SERVER, *calls)
        assert added.code == 0, added.err
        assert "tune init web --model web" in added.out
        assert tune("models", "check", "web").code == 0
        assert tune("init", "other", "--model", "web").code == 0
        assert load_study("other", Host(2, 4096)).serving.image == SERVICE_IMAGE
        path = Path("studies/web/study.yaml")
        path.parent.mkdir()
        path.write_text(STUDY)
        ran = tune("run", "--study", "web")
        assert ran.code == 0, ran.err
        trials = json.loads(tune("show", "--study", "web", "--json").out)["trials"]
        assert {trial["configuration"]["decision"]["backlog"] for trial in trials} == {8, 64}
        assert {trial["outcome"] for trial in trials} == {"measured"}
        exported = tune("export", "--study", "web", "--format", "compose", "--pick", "0")
        assert f"image: {SERVICE_IMAGE}" in exported.out
        assert "volumes:" not in exported.out
        assert "--backlog=64" in exported.out
        for form in ("kubernetes", "docker-run", "env"):
            assert tune("export", "--study", "web", "--format", form, "--pick", "0").code == 0
    finally:
        engine.images.remove(SERVICE_IMAGE, force=True)


@pytest.mark.docker
def test_an_image_without_the_port_is_refused_with_what_it_listens_at(
    tune: Tune, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.spec.study.ServingSpec.ready_seconds", 2.0)
    build_service_image(engine)
    try:
        ended = tune(*ADD, "--command", SERVER, "--port", "9000")
    finally:
        engine.images.remove(SERVICE_IMAGE, force=True)
    assert ended.code == 2
    assert "GET /: nothing answers (the image says that it listens at 8080/tcp" in ended.err
    assert "correct --port" in ended.err
    assert not Path("models").exists()


@pytest.mark.docker
def test_an_image_without_a_shell_is_told_what_its_page_cache_needs(
    tune: Tune, engine: DockerClient
) -> None:
    name = f"{SERVICE_IMAGE}-bare"
    engine.images.build(
        fileobj=io.BytesIO(b"FROM scratch\nLABEL nothing=in-it\n"), tag=name, rm=True
    )
    try:
        ended = tune("models", "add", "--name", "web", "--image", name, "--command", "/serve")
    finally:
        engine.images.remove(name, force=True)
    assert ended.code == 2
    assert "the keeper of the page cache does not start" in ended.err
    assert "page_cache: private" in ended.err
    assert not Path("models").exists()


def test_a_path_and_an_image_are_one_too_many(tune: Tune) -> None:
    assert "one of them" in tune("models", "add", "--name", "m").err
    assert "one of them" in tune(*ADD, "somewhere").err
    assert "expected NAME=VALUE" in tune(*ADD, "--env", "A").err
    assert "--command" in tune(*ADD, "--command", "'").err
