"""A small study of a model that ONNX Runtime serves, in the working directory."""

from __future__ import annotations

import shutil
from pathlib import Path

from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.study import ModelSpec, StudySpec

STUDY = """\
model: half_plus_two
search_space:
  concurrency: {role: scenario, type: int, choices: [8], default: 8}
  cpu: {role: decision, type: float, choices: [0.25, 0.5], default: 0.5}
  memory: {role: decision, type: int, choices: [192], default: 192}
  replicas: {role: decision, type: int, choices: [1, 2], default: 2}
  loss: {role: scenario, type: float, choices: [0, 2], default: 2}
load:
  {min_seconds: 4, max_seconds: 4, min_requests: 1, warmup_max_seconds: 0.5}
objectives: [art_ms, cpu_percent]
budget: {trials: 2}
baseline_every: 0
search: {sampler: random, confirm: 0, cut_short: false}
seed: 1
"""


def write_swarm_study(model: ModelSpec, *changes: tuple[str, str]) -> StudySpec:
    """The study `small`, with parts of its text changed."""
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    home = Path("models/half_plus_two")
    if not home.exists():
        shutil.copytree(model.built, home / "built")
        (home / "model.yaml").write_text("description: x / 2 + 2\nserver: onnxruntime\n")
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_study("small", Host.this())
