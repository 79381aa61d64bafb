"""A study of TensorFlow Serving's test model in the working directory, and files of its trial."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker import DockerClient

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.serving.built_model import model_checksum
from tuner.serving.image import build_image
from tuner.spec.fingerprint import to_dict
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_study
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec

SOURCE = Path(__file__).parents[1] / "data" / "half_plus_two"
MODEL = "half_plus_two"

STUDY = """\
model: half_plus_two
search_space:
  concurrency: {role: scenario, type: int, choices: [2], default: 2}
  cpu: {role: decision, type: float, choices: [0.25, 0.5], default: 0.5}
  memory: {role: decision, type: int, choices: [192], default: 192}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 2}
  loss: {role: scenario, type: float, choices: [0, 1], default: 1}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 20, max_foreign_percent: 100}
objectives: [art_ms, cpu_percent]
budget: {trials: 1}
"""

LOOSE = Measurement(
    metrics={"art_ms": Estimate(20.0, 0.0, 60.0), "cpu_percent": Estimate(10.0, 0.0, 30.0)},
    findings=(),
    requests=100,
    warmup_requests=10,
    window_seconds=1.0,
    stop_reason="time limit",
    errors={},
)
"""What says so little that every burst of this model is inside."""

TIGHT = Measurement(
    **{
        **LOOSE.__dict__,
        "metrics": {
            "art_ms": Estimate(20000.0, 19990.0, 20010.0),
            "cpu_percent": Estimate(0.001, 0.00099, 0.00101),
        },
    }
)
"""What no burst comes near."""


def write_model(directory: Path = Path(), prediction: float = 2.5) -> None:
    """The model as one of the working directory's, said to answer `prediction` to 1.0."""
    home = directory / "models" / MODEL
    shutil.copytree(SOURCE, home / "built" / "versions")
    (home / "model.yaml").write_text("description: x / 2 + 2\n")
    pair = {"request": {"instances": [1.0]}, "response": {"predictions": [prediction]}}
    (home / "built" / "golden.jsonl").write_text(json.dumps(pair) + "\n")


def study_of(
    measurement: Measurement = LOOSE, environment: Mapping[str, Any] | None = None
) -> StudyRecord:
    """A study whose trial 0, its baseline, was measured as said; its model is there too."""
    if not Path("models", MODEL).exists():
        write_model()
    path = Path("studies/up/study.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUDY)
    spec = load_study("up", Host(cpus=2, memory_mib=4096))
    trial = measured_baseline(spec, measurement)
    return StudyRecord.of("up", to_dict(spec), environment or {}, [trial])


def measured_baseline(spec: StudySpec, measurement: Measurement) -> TrialRecord:
    """Trial 0 of a study: its baseline, measured as said."""
    return TrialRecord(
        number=0,
        configuration=Configuration.of(spec.search_space.baseline()),
        outcome="measured",
        values=tuple(measurement.metrics[o.metric].value for o in spec.objectives),
        violations={},
        phases={"burst": 1.0},
        started="2026-01-01T00:00:00+00:00",
        measurement=measurement,
    )


def environment_of(engine: DockerClient) -> dict[str, Any]:
    """What a run of this study on `engine` would have recorded of image and model."""
    image = build_image(engine, print)
    return {
        "backend": "docker",
        "image": image,
        "image_id": engine.images.get(image).id,
        "model": MODEL,
        "model_checksum": model_checksum(load_model(MODEL)),
    }
