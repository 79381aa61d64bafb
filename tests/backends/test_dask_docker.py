"""A worker of a Dask cluster that measures real containers on the engine of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker import DockerClient
from optuna.trial import TrialState

from tests.backends.dask_processes import dask_scheduler
from tests.deploy.conftest import build_half_plus_two
from tuner import Study
from tuner.deploy.ownership import LABEL, Owner
from tuner.errors import SetupError
from tuner.load.parquet import read_samples
from tuner.serving.image import build_image

STUDY = """\
model: half_plus_two
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 2], default: 1}
  cpu: {role: decision, type: float, choices: [1], default: 1}
  memory: {role: decision, type: int, choices: [24, 192], default: 192}
  replicas: {role: decision, type: int, choices: [1], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load:
  {min_seconds: 0.5, max_seconds: 1, min_requests: 50, warmup_max_seconds: 0.5,
   max_foreign_percent: 100}
objectives: [art_ms, cpu_percent]
budget: {trials: 3}
search: {sampler: random, confirm: 0}
baseline_every: 0
seed: 1
"""


def place(at: Path, *, built: bool) -> Path:
    """A directory with the study and its model, for one process."""
    model = at / "models" / "half_plus_two"
    if built:
        build_half_plus_two(model)
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.yaml").write_text("description: Half of x, plus two\n")
    study = at / "studies" / "hosted" / "study.yaml"
    study.parent.mkdir(parents=True)
    study.write_text(STUDY)
    return at


@pytest.mark.docker
@pytest.mark.thorough
def test_containers_are_measured_by_a_worker_and_told_at_home(
    engine: DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_image(engine, print)
    host, other = place(tmp_path / "host", built=True), place(tmp_path / "other", built=True)
    graph = next((other / "models/half_plus_two/built/versions").rglob("saved_model.pb"))
    graph.write_bytes(graph.read_bytes() + b"\n")
    monkeypatch.chdir(place(tmp_path / "home", built=False))
    with dask_scheduler(tmp_path) as cluster:
        worker = cluster.start("alpha", cwd=host, backend="docker")
        cluster.joined("alpha")
        cluster.start("beta", cwd=other, backend="docker")
        cluster.joined("beta")
        study = Study.open("hosted", on=cluster.on)
        differs = "host (alpha|beta) differs from host (alpha|beta): model checksum is "
        with pytest.raises(SetupError, match=differs):
            study.run()
        cluster.end("beta")
        checks = {check.name: check for check in study.check()}
        assert all(check.ok for check in checks.values()), checks
        assert (
            checks["engine"].found == f"Docker Engine {engine.version()['Version']}, on each host"
        )
        study.run()
        mine: dict[str, str | list[str] | bool] = {"label": LABEL}
        found = engine.containers.list(all=True, filters=mine, ignore_removed=True)
        owners = [Owner.parse(container.labels[LABEL]) for container in found]
        assert worker.pid not in {owner.pid for owner in owners if owner is not None}
    trials = study.record.trials
    assert [t.state for t in study.optuna.get_trials()] == [TrialState.COMPLETE] * 3
    assert {study.record.host_of(trial) for trial in trials} == {"alpha"}
    assert {t.outcome for t in trials} == {"measured", "infeasible"}
    for trial in trials:
        environment = study.record.environments[trial.environment]
        assert environment["model_checksum"]
        assert environment["calibration"]["capacity_rps"]["value"] > 0
        if trial.outcome == "infeasible":
            assert trial.reason == "out of memory"
            continue
        assert trial.samples is not None
        assert trial.measurement is not None
        recording = read_samples(study.results / trial.samples)
        assert len(recording.samples) >= trial.measurement.requests
    again = [t for t in trials if t.stayed]
    assert {t.deployment["since"] for t in again} <= {f"{t.number:04d}" for t in trials}
