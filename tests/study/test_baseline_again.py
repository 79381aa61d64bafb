from __future__ import annotations

import math

import pytest
from optuna.study import Study

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import breaking, drifting
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Started
from tuner.study.storage import records, study_record

WIDE = ("min_requests: 50", "min_requests: 50, precision: 0.3")
"""Bursts of the computed host differ by 5 %, which this takes for nothing."""


def every(trials: int) -> tuple[str, str]:
    return ("baseline_every: 0", f"baseline_every: {trials}")


def baselines(spec: StudySpec, study: Study) -> list[int]:
    """Where in the row of complete trials the baseline was measured."""
    defaults = spec.search_space.baseline()
    return [i for i, t in enumerate(records(study)) if t.configuration == defaults]


def test_the_baseline_is_measured_again_after_so_many_trials() -> None:
    spec = specification(every(3), ("trials: 8", "trials: 13"))
    study = run(spec)
    assert len(records(study)) == 13, "each one counts in the budget"
    assert baselines(spec, study) == [0, 4, 8, 12]


def test_the_baseline_may_be_measured_once_only() -> None:
    spec = specification(every(0), ("trials: 8", "trials: 13"))
    assert baselines(spec, run(spec)) == [0]


@pytest.mark.parametrize("trials", [1, pytest.param(4, marks=pytest.mark.thorough), 5])
def test_so_it_is_among_the_configurations_that_a_study_starts_with(trials: int) -> None:
    """A budget of 60 starts with 14 of them."""
    spec = specification(every(trials), ("trials: 8", "trials: 60"))
    study = run(spec, more=18)
    assert baselines(spec, study) == list(range(0, 18, trials + 1))
    others = [
        t.configuration
        for t in records(study)
        if t.configuration != records(study)[0].configuration
    ]
    assert len(set(others)) == len(others)


def test_an_interrupted_study_measures_its_baseline_as_another_one_does() -> None:
    spec = specification(every(3), ("trials: 8", "trials: 13"))

    def interrupt(event: Event) -> None:
        if isinstance(event, Started) and event.number == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, observe=interrupt)
    assert baselines(spec, run(spec)) == [0, 4, 8, 12]


def test_a_baseline_that_broke_is_measured_all_the_same() -> None:
    spec = specification(every(3), ("trials: 8", "trials: 9"))
    study = run(spec, backend=breaking(spec, 1))
    assert baselines(spec, study) == [0, 4, 8], "at once, before any other trial"


def test_repeats_are_not_held_up_by_the_baseline() -> None:
    spec = specification(every(2))
    run(spec)
    count = len(records(opened(spec)))
    trials = records(run(spec, repeats=(1, 1, 1)))
    assert [t.configuration for t in trials[count:]] == [trials[1].configuration] * 3


def test_a_host_that_slows_down_puts_the_trials_around_in_doubt() -> None:
    spec = specification(FEASIBLE, every(3), WIDE, ("trials: 8", "trials: 15"))
    study = run(spec, backend=drifting(spec, lambda number: 2.0 if 6 <= number <= 10 else 1.0))
    record = study_record(study)
    assert baselines(spec, study) == [0, 4, 8, 12]
    assert [(d.first, d.last) for d in record.drifts] == [(5, 11)]
    assert "art_ms of the baseline was +" in record.drifts[0].what
    assert "in trial 8" in record.drifts[0].what
    doubted = [t.number for t in record.trials if record.drift(t) is not None]
    assert doubted == [5, 6, 7, 8, 9, 10, 11]
    assert record.drift(record.trials[8]) == record.drifts[0]


def test_a_host_that_stays_slow_at_the_end_leaves_its_last_trials_in_doubt() -> None:
    spec = specification(FEASIBLE, every(3), WIDE, ("trials: 8", "trials: 14"))
    study = run(spec, backend=drifting(spec, lambda number: 3.0 if number >= 12 else 1.0))
    record = study_record(study)
    assert [(d.first, d.last) for d in record.drifts] == [(9, math.inf)]
    assert record.drift(record.trials[-1]) is not None


def test_a_steady_host_leaves_no_trial_in_doubt() -> None:
    spec = specification(FEASIBLE, every(3), WIDE, ("trials: 8", "trials: 14"))
    record = study_record(run(spec))
    assert record.drifts == ()
    assert not any(record.drift(t) for t in record.trials)


def test_baselines_tell_how_far_bursts_differ() -> None:
    """The computed host's service differs by 5 % between bursts, its CPU usage by 2 % more."""
    spec = specification(FEASIBLE, every(1), ("trials: 8", "trials: 18"))
    record = study_record(run(spec))
    found = record.repeatability
    # Of a constraint too: how surely it holds depends on it.
    assert set(found) == {"art_ms", "cpu_percent", "error_rate"}
    assert found["art_ms"].degrees == 8
    assert 0.01 < found["art_ms"].relative_sd < 0.1
    trial = record.trials[1]
    own, stated = trial.metric("art_ms"), record.estimate(trial, "art_ms")
    assert own is not None
    assert stated is not None
    assert own.low is not None
    assert stated.low is not None
    assert stated.value == own.value
    assert stated.low < own.low
