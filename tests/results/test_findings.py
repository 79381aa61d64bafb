from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.study.bursts import OBJECTIVES, SPACE, burst, lost
from tests.study.bursts import study as record_of
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.study_model import FEWEST, model_of
from tuner.results.findings import find
from tuner.spec.space import Configuration, Parameter, SearchSpace


def measured(count: int = 20, seed: int = 1) -> StudyRecord:
    """Of the 32 configurations; more CPU is faster, each replica costs."""
    rng = np.random.default_rng(seed)
    grid = list(SPACE.grid())
    chosen = [SPACE.baseline(), *(grid[i] for i in rng.permutation(len(grid)))]
    trials = []
    for number, c in enumerate(dict.fromkeys(chosen)):
        art = 8.0 * float(c["concurrency"]) / float(c["cpu"]) ** 0.7 * math.exp(rng.normal(0, 0.02))
        usage = (
            10 * float(c["cpu"]) * (1 + 0.3 * int(c["replicas"])) * math.exp(rng.normal(0, 0.02))
        )
        trials.append(burst(number, art, usage, **c))
    return record_of(*trials[:count])


def test_too_few_measurements_say_nothing() -> None:
    few = measured(FEWEST - 1)
    assert find(few) is None
    again = record_of(*few.trials, *(burst(20 + i, 5.0, 5.0) for i in range(5)))
    assert find(again) is None, "repeats are no other configurations"
    failing = record_of(*few.trials, lost(30, {"cpu": 2.0}))
    assert find(failing) is None
    assert find(record_of()) is None
    assert find(measured(FEWEST)) is not None


def test_findings_are_fronts_decisions_and_what_is_open() -> None:
    study = measured()
    found = find(study)
    assert found is not None
    assert (found.candidates, found.whole) == (32, True)
    assert [dict(f.scenario or {}) for f in found.scenarios] == [
        {"concurrency": 1},
        {"concurrency": 4},
    ]
    for front in found.scenarios:
        cheap = [p for p in front.predicted_front if p.configuration["replicas"] == 1]
        assert {p.configuration["cpu"] for p in cheap} == {0.25, 0.5, 1.0, 2.0}
        assert len(front.predicted_front) <= 6
        assert set(front.measured) == {
            t.configuration
            for t in study.trials
            if SPACE.scenario_of(t.configuration) == front.scenario
        }
    assert found.robust is not None
    assert found.robust.decision["replicas"] == 1
    assert found.serving is not None
    assert found.serving.sure == 2
    assert set(found.between) == {"art_ms", "cpu_percent"}
    for trial in study.trials:
        assert found.trials[trial.configuration] == (trial.number,)
        known = found.predicted(trial.configuration)
        assert known is not None
        assert known.values == pytest.approx(trial.values, rel=0.2)


def test_they_are_the_same_each_time() -> None:
    assert find(measured()) == find(measured())


def test_a_luckily_good_burst_is_not_believed() -> None:
    study = measured(30)
    trials = list(study.trials)
    at = next(i for i, t in enumerate(trials) if t.configuration["replicas"] == 3)
    lucky = trials[at].configuration
    values = [v * 0.8 for v in trials[at].values]
    trials[at] = replace(burst(trials[at].number, values[0], values[1]), configuration=lucky)
    found = find(record_of(*trials))
    assert found is not None
    known = found.predicted(lucky)
    assert known is not None
    assert known.values[0] > values[0]


def test_a_space_that_cannot_be_enumerated_is_known_where_it_was_measured() -> None:
    space = SearchSpace(
        (
            Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
            Parameter("cpu", "float", "decision", 1.0, low=0.1, high=4.0),
        )
    )
    rng = np.random.default_rng(3)
    trials: list[TrialRecord] = []
    for number in range(12):
        cpu = 1.0 if number == 0 else float(rng.uniform(0.1, 4))
        asked = Configuration.of({"concurrency": 1 + 3 * (number % 2), "cpu": cpu})
        art = 5 * float(asked["concurrency"]) / cpu
        trials.append(replace(burst(number, art, 10 * cpu), configuration=asked))
    study = StudyRecord("wide", "mnist", space, OBJECTIVES, (), {}, {}, tuple(trials))
    found = find(study)
    assert found is not None
    assert not found.whole
    assert len(found.scenarios) == 2
    surrogate = model_of(study)
    assert surrogate is not None
    assert len(surrogate.candidates) == 24, "each decision in both scenarios"


def test_without_scenarios_there_is_one_front_and_no_regret() -> None:
    space = SearchSpace(SPACE.with_role("decision"))
    trials = [
        replace(
            burst(n, 8 / float(c["cpu"]), 10 * float(c["cpu"]) * int(c["replicas"])),
            configuration=c,
        )
        for n, c in enumerate(space.grid())
    ]
    found = find(StudyRecord("one", "mnist", space, OBJECTIVES, (), {}, {}, tuple(trials)))
    assert found is not None
    assert (found.scenarios, found.robust, found.serving) == ((), None, None)
    assert len(found.overall.predicted_front) == 4
