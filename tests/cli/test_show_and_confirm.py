"""`tune show` and `tune confirm` on a computed host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Tune
from tuner.measure.record import StudyRecord
from tuner.pages.study_page import study_blocks
from tuner.pages.trial_page import trial_blocks
from tuner.render.terminal import plain_text
from tuner.study.storage import open_storage, stored_record

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: [8, 256], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 1}
  loss: {role: scenario, type: float, choices: [0, 1], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
constraints: [error_rate <= 0.01]
budget: {trials: 26}
search: {sampler: random, confirm: 0}
seed: 3
"""

SMALL = ("--study", "small", "--backend", "simulated")
URL = "sqlite:///studies/small/results/simulated.db"


@pytest.fixture(autouse=True)
def _study(_workplace: None) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)


def stored() -> StudyRecord:
    return stored_record("small", open_storage(URL, create=False))


def shown(tune: Tune, *arguments: str) -> Any:  # noqa: ANN401 -- any JSON
    code, out, err = tune("show", *SMALL, "--json", *arguments)
    assert code == 0, err
    return json.loads(out)


def test_a_study_is_shown_as_measured_and_as_predicted(
    tune: Tune,
) -> None:
    assert tune("run", *SMALL)[0] == 0
    for width in (80, 100, 120, 200):
        narrow = plain_text(study_blocks(stored()), width)
        assert max(map(len, narrow.splitlines())) <= width
        assert "…" not in narrow, "nothing is cut"
    code, out, _ = tune("show", *SMALL)
    assert code == 0
    for words in (
        "SIMULATED",
        "Overall Pareto front",
        "Front of each scenario, as measured and as predicted (of 48 configurations)",
        "Least regret over all scenarios: ",
        "Meets the SLO in most scenarios (error_rate <= 0.01): ",
        "What is uncertain",
        "All 26 trials",
    ):
        assert words in out
    document = shown(tune)
    assert len(document["trials"]) == 26
    assert {"why", "stayed", "cut_short", "saved_seconds"} <= document["trials"][0].keys()
    assert document["fronts"]["overall"]["front"]
    findings = document["findings"]
    assert len(findings["scenarios"]) == 4
    for scenario in findings["scenarios"]:
        assert 0 < len(scenario["predicted_front"]) <= 6
        for one in scenario["predicted_front"]:
            assert one["configuration"]["memory"] == 256
            assert one["feasible"] > 0.9
            assert 0 <= one["on_front"] <= 1
            art = one["objectives"]["art_ms"]
            assert art["low"] < art["value"] < art["high"]
    assert findings["least_regret"]["decision"].keys() == {"cpu", "memory", "replicas"}
    assert len(findings["least_regret"]["by_scenario"]) == 4
    assert findings["most_serving"]["sure"] == 4
    assert "trials_to_settle" in findings["open"]


def test_with_few_trials_it_says_that_nothing_is_predicted(tune: Tune) -> None:
    text = STUDY.replace("trials: 26", "trials: 4")
    Path("studies/small/study.yaml").write_text(text)
    tune("run", *SMALL)
    _, out, _ = tune("show", *SMALL)
    assert "Nothing is predicted yet" in out
    assert "Front of each scenario" in out
    assert shown(tune)["findings"] is None


def test_a_trial_is_shown_with_what_the_search_did(
    tune: Tune,
) -> None:
    tune("run", *SMALL, "--trials", "2")
    alone = shown(tune, "0")
    assert [t["trial"] for t in alone["trials"]] == [0]
    record = stored()
    trial = replace(
        record.trials[0],
        why={
            "reason": "expected to enlarge the front of concurrency=4 most",
            "mean": [5.0, 40.0],
            "sd": [0.1, 0.05],
            "feasible": 0.97,
            "acquisition": 0.0123,
        },
        cut_short="dominated by trial 3",
        deployment={"stayed": True, "since": "0007"},
    )
    out = plain_text(trial_blocks(record, trial))
    assert "Why it was proposed: expected to enlarge the front of concurrency=4 most" in out
    assert "ART (ms) 5 (4.11-6.08)" in out
    assert "P(feasible) 0.97; acquisition 0.0123" in out
    assert "It stayed on the deployment of trial 7" in out
    assert "Cut short, so on no front: dominated by trial 3" in out


def test_confirm_measures_candidates_and_the_baseline_again(tune: Tune) -> None:
    tune("run", *SMALL)
    code, out, err = tune("confirm", *SMALL, "--top", "3", "--reps", "2")
    assert code == 0, err
    assert "Measuring 3 candidates and the baseline 2 times more" in out
    assert "What all bursts of each configuration say together" in out
    assert len(stored().trials) == 26 + 2 * 4
    code, out, _ = tune("confirm", *SMALL, "--top", "2", "--reps", "1", "--json")
    assert code == 0
    document = json.loads(out)
    assert len(document["trials"]) == 3
    assert len(document["candidates"]) == 2
    assert document["baseline"]["bursts"] >= 3
    for one in document["candidates"]:
        assert one["bursts"] >= 2
        assert one["status"] in {"kept", "joined", "tied", "demoted", "near"}
        assert (one["reason"] == "") == (one["status"] in {"kept", "joined"})
        art = one["objectives"]["art_ms"]
        assert art["low"] < art["value"] < art["high"]
    fronts = shown(tune)["fronts"]["scenarios"]
    on_front = {number for f in fronts for one in f["front"] for number in one["bursts"]}
    for one in document["candidates"]:
        assert (one["trial"] in on_front) == (one["status"] in {"kept", "joined"})


def test_confirm_says_when_there_is_nothing_to_confirm(tune: Tune) -> None:
    code, _, err = tune("confirm", *SMALL)
    assert code == 2
    assert "no study database" in err
    text = STUDY.replace("trials: 26", "trials: 1")
    Path("studies/small/study.yaml").write_text(text)
    tune("run", *SMALL)
    code, _, err = tune("confirm", *SMALL)
    assert code == 2
    assert "nothing to confirm" in err


def test_confirm_takes_a_recorded_grid_with_its_backend_only(tune: Tune) -> None:
    tune("run", *SMALL)
    for options in ((*SMALL, "--replay", "grid.parquet"), ("--study=small", "--backend=replay")):
        code, _, err = tune("confirm", *options)
        assert code == 2
        assert "backend replay and a recorded grid go together" in err
    assert len(stored().trials) == 26
