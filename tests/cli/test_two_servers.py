"""One study, one model, two servers: the parameter `server`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from docker import DockerClient

from tests.cli.command import Tune
from tests.deploy.conftest import build_half_plus_two
from tests.serving.onnx_models import build_half_plus_two_onnx, needs_onnx
from tuner.serving.image import build_image, image_tag
from tuner.serving.servers.table import server_named

NAMES = ("tensorflow-serving", "onnxruntime")

STUDY = """
model: both
search_space:
  concurrency: {role: scenario, type: int, choices: [1], default: 1}
  cpu: {role: decision, type: float, choices: [1], default: 1}
  memory: {role: decision, type: int, choices: [192], default: 192}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
  server: {role: decision, type: categorical, choices: [tensorflow-serving, onnxruntime],
    default: tensorflow-serving}
  threads: {role: decision, type: int, choices: [1], default: 1, flag: intra_op_num_threads,
    when: server == onnxruntime}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 20, precision: 0.5, warmup_max_seconds: 0.5,
  max_foreign_percent: 100}
budget: {trials: 2}
"""


@needs_onnx
@pytest.mark.docker
@pytest.mark.thorough
def test_each_trial_and_each_export_has_its_own_server(tune: Tune, engine: DockerClient) -> None:
    images = {}
    for name in NAMES:
        recipe = server_named(name).image
        assert recipe is not None
        build_image(engine, print, recipe=recipe)
        images[name] = image_tag(recipe)
    write_study()
    ran = tune("run", "--study", "both")
    assert ran.code == 0, ran.err
    shown = json.loads(tune("show", "--study", "both", "--json").out)
    assert {
        name: facts["image"] for name, facts in shown["environment"]["images"].items()
    } == images
    assert [trial["outcome"] for trial in shown["trials"]] == ["measured"] * 2
    for trial in shown["trials"]:
        server = trial["configuration"]["decision"]["server"]
        chosen = ("--study", "both", "--pick", str(trial["trial"]), "--output", "up.sh")
        exported = tune("export", "--format", "docker-run", *chosen)
        assert exported.code == 0, exported.err
        assert images[server] in Path("up.sh").read_text()
        assert ("intra_op_num_threads" in Path("up.sh").read_text()) is (server == "onnxruntime")
        verified = json.loads(tune("verify", "up.sh", "--study", "both", "--json").out)
        assert verified["differences"] == []
        Path("up.sh").unlink()


def write_study() -> None:
    """The study, and a model whose version is a SavedModel and an ONNX file."""
    model = Path("models/both")
    build_half_plus_two(model)
    onnx = build_half_plus_two_onnx(Path("onnx")).built
    for file in ("versions/1/model.onnx", "golden.jsonl"):
        version = next((model / "built/versions").iterdir()).name
        shutil.copy(onnx / file, model / "built" / file.replace("/1/", f"/{version}/"))
    (model / "model.yaml").write_text("description: half of x, plus two, twice\n")
    path = Path("studies/both/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)
