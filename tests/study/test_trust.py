from __future__ import annotations

from dataclasses import replace
from itertools import repeat

import pytest
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, configurations, opened, run, specification
from tests.study.worlds import World, in_turn, untrusted
from tuner.backends.bench import Repeating
from tuner.deploy.protocol import Deployer
from tuner.errors import TrialFailed, TuneError
from tuner.load.parquet import read_samples
from tuner.measure.record import TrialRecord
from tuner.results.summary import summarise
from tuner.spec.load import results_directory
from tuner.spec.space import Configuration
from tuner.study.loop import MOST_INVALID, Event, Failed, Finished, Started
from tuner.study.storage import REASON, records, study_record

WHY = "the load engine used 90 % of its core"


def test_an_invalid_measurement_is_made_once_more_in_the_same_trial() -> None:
    spec = specification(FEASIBLE)
    events: list[Event] = []
    backend = untrusted(spec, in_turn([False, True, False]))  # the second trial's first burst
    study = run(spec, backend=backend, observe=events.append)
    trials = records(study)
    assert len(trials) == len(study.get_trials()) == 8
    again = trials[1]
    assert (again.outcome, again.attempts) == ("measured", 2)
    assert [f.what for f in again.discarded] == [WHY]
    assert again.measurement is not None
    assert again.measurement.verdict == "VALID"
    assert again.reason == ""
    assert list(again.phases) == [
        "first attempt", "deploy", "connect", "impair", "burst", "tear down",
    ]  # fmt: skip
    assert again.phases["first attempt"] > 0
    assert TrialRecord.from_json(again.to_json()) == again
    assert [e for e in events if isinstance(e, Repeating)] == [Repeating(1, WHY)]
    others = [t for t in trials if t != again]
    assert {(t.attempts, t.discarded) for t in others} == {(1, ())}
    assert all("first attempt" not in t.phases for t in others)


def test_a_trial_that_is_invalid_twice_fails_and_is_kept_for_people() -> None:
    spec = specification(FEASIBLE)
    events: list[Event] = []
    backend = untrusted(spec, in_turn([False, True, True]))
    study = run(spec, backend=backend, observe=events.append)
    told = study.get_trials()[1]
    assert told.state is TrialState.FAIL
    assert told.user_attrs[REASON] == f"INVALID twice: {WHY}"
    assert told.user_attrs["verdict"] == "INVALID"
    trials = records(study)
    assert len(trials) == 8, "it does not count in the budget"
    assert 1 not in {t.number for t in trials}
    (failed,) = study_record(study).failed
    assert (failed.number, failed.reason) == (1, f"INVALID twice: {WHY}")
    record = failed.record
    assert record is not None
    assert (record.outcome, record.attempts, record.reason) == ("invalid", 2, WHY)
    assert record.configuration == failed.configuration
    assert [f.what for f in record.discarded] == [WHY]
    assert record.measurement is not None
    assert record.measurement.metrics["art_ms"].value == record.values[0]
    assert record.samples is not None
    assert len(read_samples(results_directory(spec) / record.samples).samples) > 0
    assert not record.feasible
    assert Finished(record) in events
    assert not any(isinstance(e, Failed) for e in events)


def test_an_invalid_trial_is_never_on_a_front_however_good_it_looks() -> None:
    spec = specification(FEASIBLE)
    whole = run(spec, more=12, database="whole")
    best = summarise(study_record(whole)).front[0].configuration
    asked: list[Configuration] = []

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event.configuration)

    backend = untrusted(spec, lambda _target, _profile: asked[-1] == best)
    study = run(spec, more=11, backend=backend, observe=observe)
    record = study_record(study)
    assert [f.configuration for f in record.failed] == [best], "it is not proposed again"
    assert configurations(study) == configurations(whole) - {best}
    summary = summarise(record)
    shown = [*summary.front, *(t for s in summary.scenarios for t in s.front)]
    assert shown
    assert best not in {t.configuration for t in shown}


def test_an_invalid_trial_is_not_queued_again_but_the_baseline_is() -> None:
    spec = specification(FEASIBLE)
    # Each is measured twice before it fails; the baseline is then measured again at once.
    study = run(spec, backend=untrusted(spec, in_turn([True, True, False, True, True])))
    baseline, again, other = study.get_trials()[:3]
    assert baseline.state is other.state is TrialState.FAIL
    assert again.state is TrialState.COMPLETE
    assert Configuration.of(baseline.params) == spec.search_space.baseline()
    assert Configuration.of(other.params) != spec.search_space.baseline()
    assert [t.user_attrs["again"] for t in study.get_trials() if "again" in t.user_attrs] == [0]
    record = study_record(study)
    assert record.baseline is not None
    assert record.baseline.number > 0
    assert len(record.trials) == 8


def test_many_invalid_trials_in_a_row_end_the_run_and_a_fit_host_goes_on() -> None:
    spec = specification(FEASIBLE)
    events: list[Event] = []
    with pytest.raises(TuneError, match=f"{MOST_INVALID} trials in a row") as caught:
        run(spec, backend=untrusted(spec, in_turn(repeat(True))), observe=events.append)
    assert WHY in caught.value.message
    finished = [e.record for e in events if isinstance(e, Finished)]
    assert [r.outcome for r in finished] == ["invalid"] * MOST_INVALID
    assert f"tune show --study small {finished[-1].number}" in caught.value.mend
    study = opened(spec)
    assert not records(study)
    assert not study.get_trials(states=(TrialState.RUNNING,))
    trials = records(run(spec))
    assert len(trials) == 8
    assert spec.search_space.baseline() in {t.configuration for t in trials}


def test_invalid_trials_with_a_valid_one_between_go_on() -> None:
    spec = specification(FEASIBLE)
    some = [True, True] * (MOST_INVALID - 1)
    study = run(spec, backend=untrusted(spec, in_turn([*some, False, True, True])))
    assert len(records(study)) == 8
    assert len(study_record(study).failed) == MOST_INVALID


def test_an_interrupt_between_the_two_attempts_leaves_the_trial_for_the_next_run() -> None:
    spec = specification(FEASIBLE)

    def interrupt(event: Event) -> None:
        if isinstance(event, Repeating):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, backend=untrusted(spec, in_turn([False, True])), observe=interrupt)
    told = opened(spec).get_trials()[1]
    assert (told.state, told.user_attrs[REASON]) == (TrialState.FAIL, "interrupted")
    study = run(spec)
    assert Configuration.of(told.params) in configurations(study)
    assert {t.attempts for t in records(study)} == {1}
    assert study_record(study).failed[0].record is None


def test_a_second_attempt_that_breaks_is_a_broken_trial() -> None:
    spec = specification(FEASIBLE)
    left = iter([False, False, True])  # the third deployment, which is the second trial's second

    def choose(usual: Deployer, _label: str) -> Deployer:
        if next(left, False):
            raise TrialFailed("the engine went away")
        return usual

    backend = untrusted(spec, in_turn([False, True]))
    study = run(spec, backend=replace(backend, deployer=World(spec, choose)))
    (failed,) = study_record(study).failed
    assert (failed.number, failed.reason) == (1, "the engine went away")
    assert failed.record is None
    assert failed.configuration in configurations(study)
    assert len(records(study)) == 8


def test_the_time_of_an_invalid_trial_is_spent() -> None:
    spec = specification(FEASIBLE)
    spec = replace(spec, budget=replace(spec.budget, trials=None, seconds=1e-9))
    study = run(spec, backend=untrusted(spec, in_turn([True, True])))
    assert records(study) == []
    assert len(study_record(study).failed) == 1
