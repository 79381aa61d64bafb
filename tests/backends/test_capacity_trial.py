"""A study that judges the capacity: each trial climbs to the highest rate that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.backends.simulated import simulated_backend
from tuner.results.summary import summarise
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.loop import goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage, study_record
from tuner.trial import TrialRequest, TrialResult, capacity_profile

HOST = Host(cpus=2, memory_mib=8192)

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [16], default: 16}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [256], default: 256}
  replicas: {role: decision, type: int, choices: [1, 2], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 2, min_requests: 100}
objectives: [capacity_rps, reserved_cores]
constraints: [p95_ms <= 40, capacity_rps >= 150]
budget: {trials: 6}
baseline_every: 0
search: {confirm: 0}
"""


@pytest.fixture
def specification() -> StudySpec:
    Path("capacity.yaml").write_text(STUDY)
    return load_study("capacity.yaml", HOST)


def trial(spec: StudySpec, **changes: float) -> TrialResult:
    configuration = Configuration.of({**spec.search_space.baseline(), **changes})
    with simulated_backend(spec) as backend:
        return backend.run_trial(TrialRequest(configuration, "t"))


def test_a_trial_has_its_capacity_and_the_other_metrics_at_that_rate(
    specification: StudySpec,
) -> None:
    result = trial(specification, cpu=0.5)
    assert result.measurement is not None
    metrics = result.measurement.metrics
    capacity = metrics["capacity_rps"]
    assert capacity.low is not None
    assert capacity.high is not None
    assert capacity.low <= capacity.value < capacity.high
    assert metrics["throughput_rps"].value == pytest.approx(capacity.value, rel=0.15)
    assert metrics["p95_ms"].value <= 40
    assert result.score is not None
    assert result.score.values[0] == capacity.value
    assert result.score.feasible
    assert result.burst is not None
    assert result.burst.rate_rps == capacity.value


def test_more_cpu_has_more_capacity(specification: StudySpec) -> None:
    found = [trial(specification, cpu=cpu).measurement for cpu in (0.25, 0.5, 1.0)]
    values = [m.metrics["capacity_rps"].value for m in found if m is not None]
    assert values == sorted(values)
    assert values[-1] > 2 * values[0] > 0


def test_what_holds_at_no_rate_breaks_the_constraint() -> None:
    text = STUDY.replace("p95_ms <= 40", "p95_ms <= 0.01")
    Path("capacity.yaml").write_text(text)
    result = trial(load_study("capacity.yaml", HOST))
    assert result.measurement is not None
    assert result.measurement.metrics["capacity_rps"].value == 0.0
    assert result.score is not None
    assert result.score.violations["p95_ms <= 0.01"] > 0
    assert result.score.violations["capacity_rps >= 150"] == 150


def test_a_study_of_capacities_runs_to_its_end(specification: StudySpec) -> None:
    study = start_or_resume(specification, open_storage("sqlite:///x.db", create=True), "simulated")
    until = goal(specification, study, None, 0)
    backend = simulated_backend(specification)
    run_study(specification, study, backend, Path("results"), until, lambda _: None)
    record = study_record(study)
    assert len(record.trials) == 6
    assert summarise(record).front


@pytest.mark.parametrize("arrivals", ["closed", "constant", "poisson"])
def test_any_arrivals_will_do_without_a_rate(arrivals: str) -> None:
    Path("capacity.yaml").write_text(STUDY.replace("load: {", f"load: {{arrivals: {arrivals}, "))
    spec = load_study("capacity.yaml", HOST)
    profile = capacity_profile(spec, spec.search_space.baseline())
    assert profile.spec.arrivals == ("poisson" if arrivals == "closed" else arrivals)
    assert profile.concurrency == 16
    assert profile.rate_rps is not None
