"""`tune explain` on simulated studies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Tune

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4, 16], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [48, 128, 256], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 3, default: 1}
  loss: {role: scenario, type: float, choices: [0, 2], default: 0}
  batching: {role: decision, type: categorical, choices: [false, true], default: false, flag: b}
  size: {role: decision, type: int, choices: [4, 16], default: 4, flag: s, when: batching == true}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
budget: {trials: 40}
search: {sampler: random}
seed: 3
"""
SMALL = ("--study", "small", "--backend", "simulated")


@pytest.fixture(autouse=True)
def _study(_workplace: None) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)


def test_a_study_is_explained_in_tables_words_and_json(tune: Tune) -> None:
    code, _, err = tune("run", *SMALL)
    assert code == 0, err
    code, out, err = tune("explain", *SMALL)
    assert (code, err) == (0, "")
    assert "SIMULATED" in out
    assert "What 40 trials of study small" in out
    assert "How much each parameter changes ART (ms)" in out
    assert "How much each parameter changes CPU usage (% of host)" in out
    # What the simulated host is known to do.
    assert "48 MiB of memory is too little (P" in out
    assert "ART rises with loss" in out
    assert "CPU usage rises with cpu" in out
    assert ", where batching == true" in out
    assert "486 configurations (all of the space)" in " ".join(out.split())

    code, out, _ = tune("explain", *SMALL, "--objective", "cpu_percent", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["metrics"] == ["cpu_percent"]
    assert found["backends"] == ["simulated"]
    assert {i["metric"] for i in found["importances"]} == {"cpu_percent"}
    assert len(found["interactions"]) == 7 * 6 / 2
    curve = next(c for c in found["curves"] if c["parameter"] == "memory")
    assert curve["values"] == [48, 128, 256]
    assert curve["typical"]["value"][0] is None
    for band in (curve["typical"], curve["average"]):
        assert band["low"][2] < band["value"][2] < band["high"][2]
    assert curve["feasible"][0] < 0.2
    assert {p["value"] for p in curve["measured"]} == {128, 256}
    lossy = [c for c in found["scenario_curves"] if c["scenario"] == {"concurrency": 16, "loss": 2}]
    assert {c["parameter"] for c in lossy} == {"cpu", "memory", "replicas", "batching", "size"}
    assert all(0 <= s["probability"] <= 1 for s in found["reading"])

    code, again, _ = tune("explain", *SMALL, "--objective", "cpu_percent", "--json")
    assert again == out

    code, out, _ = tune("explain", *SMALL, "--at", "loss=0", "--at", "batching=false")
    assert code == 0
    assert "at loss 0, batching false" in out
    assert "81 configurations (all of the space)" in " ".join(out.split())
    assert "size" not in out
    code, out, _ = tune("explain", *SMALL, "--at", "loss=0", "--json")
    found = json.loads(out)
    assert found["held"] == {"loss": 0}
    assert {len(c["scenario"]) for c in found["scenario_curves"]} == {1}
    assert not any("loss" in i["parameters"] for i in found["interactions"])
    curve = next(c for c in found["curves"] if c["parameter"] == "memory")
    assert len(curve["measured"]) < 26


def test_few_trials_are_not_explained(tune: Tune) -> None:
    tune("run", *SMALL, "--trials", "3")
    code, out, _ = tune("explain", *SMALL)
    assert code == 0
    assert "Not enough yet" in out
    assert "How much" not in out
    code, out, _ = tune("explain", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["too_few"]
    assert found["reading"] == []


def test_an_objective_that_the_study_does_not_have_is_refused(tune: Tune) -> None:
    tune("run", *SMALL, "--trials", "2")
    code, out, err = tune("explain", *SMALL, "--objective", "p99_ms")
    assert (code, out) == (2, "")
    assert "'p99_ms' is no objective of study 'small'" in err
    assert "art_ms, cpu_percent" in err
    code, _, err = tune("explain", "--study", "small", "--backend", "docker")
    assert code == 2
    assert "there is no study database" in err


@pytest.mark.parametrize(
    ("setting", "mend"),
    [("loss", "parameters: concurrency"), ("nothing=1", "batching"), ("cpu=3", "0.25, 0.5, 1")],
)
def test_a_parameter_or_value_that_the_study_does_not_have_is_refused(
    tune: Tune, setting: str, mend: str
) -> None:
    tune("run", *SMALL, "--trials", "1")
    code, _, err = tune("explain", *SMALL, "--at", setting)
    assert code == 2
    assert f"--at {setting}" in err
    assert mend in err
