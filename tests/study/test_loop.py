from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, run, specification
from tuner.errors import InputError
from tuner.spec.study import SearchSpec
from tuner.study.loop import Event, Finished, Started
from tuner.study.queue import queue_repeat
from tuner.study.storage import records


def test_the_budget_is_completed_exactly_and_resuming_adds_nothing() -> None:
    spec = specification()
    first = records(run(spec))
    assert [t.number for t in first] == list(range(8))
    assert first[0].configuration == spec.search_space.baseline()
    assert len({t.configuration for t in first}) == 8
    events: list[Event] = []
    study = run(spec, observe=events.append)
    assert records(study) == first
    assert len(study.get_trials()) == 8
    assert events == []


def test_more_trials_are_beyond_what_is_there_and_new() -> None:
    spec = specification()
    run(spec, more=2)
    run(spec, more=3)
    trials = records(opened(spec))
    assert len(trials) == 5
    assert len({t.configuration for t in trials}) == 5


def test_a_budget_of_seconds_ends_the_run() -> None:
    spec = specification()
    spec = replace(spec, budget=replace(spec.budget, trials=None, seconds=1e-9))
    assert len(records(run(spec))) == 1


def test_a_repeat_measures_the_same_configuration_once_more() -> None:
    spec = specification()
    run(spec)
    study = run(spec, repeats=(0, 3))
    trials = records(study)
    assert len(trials) == 10
    assert [t.configuration for t in trials[8:]] == [trials[i].configuration for i in (0, 3)]
    assert study.get_trials()[9].user_attrs["repeat of"] == 3


def test_a_trial_that_is_not_there_cannot_be_repeated() -> None:
    spec = specification()
    with pytest.raises(InputError, match="no complete trial 5"):
        queue_repeat(spec, opened(spec), 5)


def test_events_tell_each_trial_from_start_to_end() -> None:
    events: list[Event] = []
    study = run(specification(FEASIBLE), more=2, observe=events.append)
    trials = records(study)
    assert [e for e in events if isinstance(e, Started)] == [
        Started(t.number, t.configuration) for t in trials
    ]
    assert [e.record for e in events if isinstance(e, Finished)] == trials
    assert [e for e in events if isinstance(e, str)] == [
        "calibrate", *("deploy", "connect", "impair", "burst", "tear down") * 2,
    ]  # fmt: skip
    assert set(trials[0].phases) == {"deploy", "connect", "impair", "burst", "tear down"}


def test_an_exhausted_space_ends_the_run() -> None:
    spec = specification(FEASIBLE)
    study = run(spec, more=100)
    trials = records(study)
    assert {t.configuration for t in trials} == set(spec.search_space.grid())
    assert len(trials) == spec.search_space.size() == 12
    assert {t.state for t in study.get_trials()} == {TrialState.COMPLETE}


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2", "qmc", "grid"])
def test_every_sampler_completes_the_budget_without_a_repeat(sampler: Any) -> None:  # noqa: ANN401 -- a Literal
    trials = records(run(replace(specification(), search=SearchSpec(sampler=sampler))))
    assert len({t.configuration for t in trials}) == len(trials) == 8
