from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import World, breaking
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployer
from tuner.errors import TrialFailed, TuneError
from tuner.spec.space import Configuration
from tuner.study.loop import Event, Failed, Started
from tuner.study.storage import REASON, records


def test_three_broken_trials_in_a_row_end_the_run_and_a_mended_one_goes_on() -> None:
    spec = specification()
    events: list[Event] = []
    with pytest.raises(TuneError, match="3 trials in a row broke") as caught:
        run(spec, backend=breaking(spec, 3), observe=events.append)
    assert "the engine went away" in caught.value.message
    assert caught.value.mend
    failed = [e for e in events if isinstance(e, Failed)]
    assert [e.reason for e in failed] == ["the engine went away"] * 3
    tried = [t for t in opened(spec).get_trials() if t.state is not TrialState.WAITING]
    assert [t.state for t in tried] == [TrialState.FAIL] * 3
    assert {t.user_attrs[REASON] for t in tried} == {"the engine went away"}
    trials = records(run(spec))
    assert len(trials) == 8
    assert spec.search_space.baseline() in {t.configuration for t in trials}


def test_a_broken_trial_is_tried_again() -> None:
    spec = specification()
    study = run(spec, backend=breaking(spec, 2))
    trials = records(study)
    assert len({t.configuration for t in trials}) == len(trials) == 8
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert len(failed) == 2
    assert all(Configuration.of(t.params) in {r.configuration for r in trials} for t in failed)


def test_a_configuration_that_breaks_every_time_is_given_up_but_not_the_baseline() -> None:
    spec = specification()
    run(spec)
    for number, waiting in ((1, 0), (0, 1)):
        with pytest.raises(TuneError, match="3 trials in a row broke"):
            run(spec, repeats=(number,), backend=breaking(spec, 3))
        assert len(opened(spec).get_trials(states=(TrialState.WAITING,))) == waiting


def test_what_breaks_every_time_is_given_up_also_where_others_are_measured_in_between() -> None:
    spec = specification(FEASIBLE)
    measured = records(run(spec))
    breaks = measured[1].configuration
    asked: list[Configuration] = []
    events: list[Event] = []

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, Started):
            asked.append(event.configuration)

    def choose(usual: Deployer, _label: str) -> Deployer:
        if asked[-1] == breaks:
            raise TrialFailed("replica 0 was removed by something else")
        return usual

    backend = replace(simulated_backend(spec), deployer=World(spec, choose))
    study = run(spec, repeats=(1, 2, 3), backend=backend, observe=observe)
    assert [c == breaks for c in asked[:5]] == [True, False, False, True, True]
    assert asked.count(breaks) == 3
    assert not study.get_trials(states=(TrialState.WAITING,))
    failed = [e.reason for e in events if isinstance(e, Failed)]
    assert failed[:2] == ["replica 0 was removed by something else"] * 2
    assert failed[2] == f"{failed[0]}; that makes 3 times, so its configuration is given up"
