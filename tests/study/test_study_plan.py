from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tuner.measure.capacity import USUAL_STEPS
from tuner.measure.measurement import Measurement
from tuner.measure.record import TrialRecord
from tuner.pages.plan_page import plan_blocks
from tuner.results.grid_cost import DEPLOY_SECONDS
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Configuration
from tuner.spec.study import Objective, StudySpec
from tuner.study.plan import plan_study

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, CPU, default: 1}
  memory: {role: decision, type: int, choices: [64, 128, 256], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 1}
  loss: {role: scenario, type: float, choices: [0, 1, 2], default: 0}
load: {min_seconds: 1, max_seconds: 3, min_requests: 50, warmup_max_seconds: 2}
objectives: [art_ms, cpu_percent]
budget: {BUDGET}
"""


MEASUREMENT = Measurement({}, (), 1, 0, 1.0, "precise", {})


def specification(cpu: str = "choices: [0.5, 1]", budget: str = "trials: 9") -> StudySpec:
    Path("small.yaml").write_text(STUDY.replace("CPU", cpu).replace("BUDGET", budget))
    return load_study("small.yaml", Host.this())


def trial(number: int, seconds: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        configuration=Configuration.of({}),
        outcome="measured",
        values=(1.0, 1.0),
        violations={},
        phases={"deploy": seconds / 2, "burst": seconds / 2},
        started="2025-01-01T00:00:00+00:00",
    )


def test_before_the_first_trial_the_time_of_one_is_assumed() -> None:
    found = plan_study(specification(), [])
    assert (found.grid, found.scenarios, found.trials, found.start) == (72, 6, 9, 3)
    assert found.deployments == 12
    assert found.burst_seconds == 1 + 2
    assert found.ordered_seconds == 12 * DEPLOY_SECONDS + 72 * 3
    assert found.trial_seconds == DEPLOY_SECONDS + 1 + 2
    assert found.evidence.startswith("assumed")
    assert found.grid_seconds == 72 * found.trial_seconds
    assert found.budget_seconds == 9 * found.trial_seconds


def test_a_capacity_takes_several_bursts() -> None:
    spec = specification()
    capacity = replace(spec, objectives=(*spec.objectives, Objective("capacity_rps", "maximize")))
    found = plan_study(capacity, [])
    assert found.burst_seconds == USUAL_STEPS * plan_study(spec, []).burst_seconds
    assert found.evidence.endswith("7 of them in a trial, which finds a capacity")


def test_afterwards_it_is_the_median_of_the_trials() -> None:
    found = plan_study(specification(), [trial(0, 2.0), trial(1, 4.0), trial(2, 60.0)])
    assert found.trial_seconds == 4.0
    assert "3 trials" in found.evidence
    assert found.budget_seconds == 6 * 4.0


def test_a_grid_ordered_by_deployment_brings_each_up_once() -> None:
    stayed = replace(trial(1, 2.0), deployment={"stayed": True}, phases={"burst": 2.5})
    anew = replace(trial(0, 2.0), deployment={"stayed": False}, phases={"deploy": 4, "burst": 2.5})
    found = plan_study(
        specification(), [replace(t, measurement=MEASUREMENT) for t in (anew, stayed)]
    )
    assert (found.deploy_seconds, found.burst_seconds) == (4.0, 2.5)
    assert found.ordered_seconds == 12 * 4.0 + 72 * 2.5


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("trials: 2", 0.0), ("time: 20 s", 8.0), ("{trials: 9, time: 15 s}", 3.0), ("time: 1 s", 0.0)],
)
def test_the_budget_ends_by_whichever_comes_first(budget: str, seconds: float) -> None:
    spec = specification(budget=budget.strip("{}"))
    assert plan_study(spec, [trial(i, 4.0) for i in range(3)]).budget_seconds == pytest.approx(
        seconds
    )


def test_a_continuous_space_has_no_grid() -> None:
    found = plan_study(specification("low: 0.5, high: 1"), [])
    assert found.grid is None
    assert found.grid_seconds is None
    assert found.deployments is found.ordered_seconds is None
    assert found.scenarios == 6
    assert found.budget_seconds is not None


def test_it_says_how_many_trials_settle_the_answers_and_whether_the_grid_is_cheaper() -> None:
    found = plan_study(specification("choices: [0.25, 0.5, 0.75, 1]", budget="trials: 60"), [])
    assert found.settle_trials == 14 + 5 * 6
    assert found.search_seconds == found.settle_trials * found.trial_seconds
    assert found.ordered_seconds is not None
    assert found.search_seconds < found.ordered_seconds
    assert not found.grid_is_cheaper
    small = plan_study(specification("choices: [1]", budget="trials: 60"), [])
    assert small.ordered_seconds == 6 * DEPLOY_SECONDS + 36 * 3
    assert small.grid_is_cheaper
    short = plan_study(specification("choices: [1]", budget="time: 60 s"), [])
    assert short.search_seconds == 60
    assert not short.grid_is_cheaper


def test_a_study_that_does_not_settle_has_its_budget() -> None:
    spec = specification(budget="trials: 60")
    found = plan_study(replace(spec, search=replace(spec.search, settled=0)), [])
    assert found.settle_trials is None
    assert found.search_seconds == 60 * found.trial_seconds


def test_the_page_names_the_cheaper_grid_and_the_trials_that_settle() -> None:
    spec = specification("choices: [1]", budget="trials: 20")
    rows = {
        name: str(value)
        for block in plan_blocks(spec, plan_study(spec, []), "--study small")
        for name, value in block.rows
    }
    assert "--sampler grid" in rows["... ordered by deployment"]
    settled = rows["trials until answers are settled"]
    assert settled.startswith(
        "about 36, an estimate: 6 to begin with, then 5 for each of 6 scenarios"
    )
    assert settled.endswith("The budget has fewer: some answers may stay open")
    assert "cheaper than the search" not in rows
    more = specification("choices: [1]", budget="trials: 60")
    rows = {
        n: str(v)
        for b in plan_blocks(more, plan_study(more, []), "--study small")
        for n, v in b.rows
    }
    assert rows["cheaper than the search"].startswith("yes: the search takes")
