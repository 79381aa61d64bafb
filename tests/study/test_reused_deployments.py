from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import in_turn, untrusted
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployment
from tuner.measure.record import TrialRecord
from tuner.model.observations import Observation
from tuner.search.observed import observations
from tuner.spec.study import LoadProfile, SearchSpec, StudySpec
from tuner.study.loop import Event, Started
from tuner.study.storage import records
from tuner.trial import WARM_SECONDS, Client

METRICS = ("art_ms", "cpu_percent")
ONE_DEPLOYMENT = [
    FEASIBLE,
    ("[0.25, 0.5, 1]", "[1]"),
    ("high: 2", "high: 1"),
    ("choices: [1, 4]", "choices: [1, 2, 3, 4]"),
]
"""Four scenarios of a single deployment."""


def whole(spec: StudySpec, *, stay: bool = True) -> StudySpec:
    return replace(spec, search=SearchSpec(sampler="random", stay=stay))


def test_trials_of_one_deployment_share_it_and_say_since_when() -> None:
    trials = records(run(whole(specification(*ONE_DEPLOYMENT)), more=4))
    assert [t.stayed for t in trials] == [False, True, True, True]
    assert {t.deployment["since"] for t in trials} == {"0000"}
    assert [t.deployment["memory_peak_since"] for t in trials] == ["0000", "0001", "0002", "0003"]
    assert trials[0].deploy_seconds == trials[0].phases["deploy"]
    assert [t.deploy_seconds for t in trials[1:]] == [0.0] * 3


def test_a_study_may_deploy_every_trial_anew() -> None:
    trials = records(run(whole(specification(*ONE_DEPLOYMENT), stay=False), more=4))
    assert not any(t.stayed for t in trials)
    assert all("since" not in t.deployment for t in trials)
    for trial in trials:
        assert trial.deploy_seconds == trial.phases["deploy"] + trial.phases["tear down"]


def test_what_was_measured_is_the_same_whether_or_not_it_stayed() -> None:
    # As long a warm-up for both.
    warmed = ("min_requests: 50}", f"min_requests: 50, warmup_max_seconds: {WARM_SECONDS}}}")
    spec = specification(*ONE_DEPLOYMENT, warmed)
    stayed = records(run(whole(spec), more=4))
    anew = records(run(whole(spec, stay=False), more=4, database="anew"))
    assert [t.values for t in stayed] == [t.values for t in anew]


def test_a_second_attempt_and_a_repeat_have_deployments_of_their_own() -> None:
    spec = whole(specification(*ONE_DEPLOYMENT))
    study = run(spec, more=4, backend=untrusted(spec, in_turn([False, True])))
    trials = records(study)
    assert [t.attempts for t in trials] == [1, 2, 1, 1]
    assert [t.stayed for t in trials] == [False, False, True, True]
    assert trials[2].deployment["since"] == "0001"
    repeat = records(run(spec, repeats=(1, 2)))[4:]
    assert [t.stayed for t in repeat] == [False, False]


def test_a_trial_that_is_interrupted_leaves_no_deployment_for_the_next() -> None:
    spec = whole(specification(*ONE_DEPLOYMENT))
    asked: list[int] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event.number)
        if event == "burst" and len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, more=4, observe=interrupt)
    trials = records(run(spec, more=2))
    assert [t.stayed for t in trials] == [False, True, False, True]


def test_a_sampler_is_told_noise_and_cost() -> None:
    spec = whole(specification(*ONE_DEPLOYMENT[:1]))
    study = run(spec, more=8)
    found = observations(spec.search_space, study.get_trials(), METRICS)
    assert len(found) == 8
    for record, noise in zip(records(study), found, strict=True):
        assert noise == Observation.of(record, METRICS)
        assert not noise.cut_short
        assert noise.values == record.values
        art = record.metric("art_ms")
        assert art is not None
        assert art.low is not None
        assert art.high is not None
        assert noise.relative_sd[0] == pytest.approx((art.high - art.low) / 3.92 / art.value, 1e-3)
        assert noise.deploy_seconds == pytest.approx(record.deploy_seconds, abs=1e-4)
        assert noise.burst_seconds is not None
        assert noise.deploy_seconds is not None
        assert noise.burst_seconds + noise.deploy_seconds == pytest.approx(record.seconds, abs=1e-3)
        # Not the other way round: a simulated deployment may take too little time to be seen.
        assert noise.deploy_seconds == 0 or not record.stayed


def test_an_infeasible_trial_says_that_its_values_are_stand_ins() -> None:
    spec = whole(specification(("[8, 64, 256]", "[8, 256]")))
    study = run(spec)
    told = {o.number: o for o in observations(spec.search_space, study.get_trials(), METRICS)}
    infeasible = [t for t in records(study) if t.outcome == "infeasible"]
    assert infeasible
    for trial in infeasible:
        assert told[trial.number].values is None
        assert told[trial.number].relative_sd == (None, None)
    assert {n for n, seen in told.items() if seen.values is None} == {t.number for t in infeasible}


def test_older_records_deployed_every_trial() -> None:
    spec = whole(specification(FEASIBLE), stay=False)
    document = records(run(spec, more=1))[0].to_json()
    for name in ("cut_short", "grid_pass", "same_as", "why"):
        del document[name]
    old = TrialRecord.from_json({**document, "format": 2})
    assert old.eligible
    assert not old.stayed
    assert old == records(opened(spec))[0]


def test_a_warm_deployment_is_warmed_up_no_longer_than_its_connections_need() -> None:
    spec = whole(specification(*ONE_DEPLOYMENT))
    usual, longest = simulated_backend(spec), []

    def connect(target: Deployment, profile: LoadProfile) -> AbstractContextManager[Client]:
        longest.append(profile.spec.warmup_max_seconds)
        return usual.connect(target, profile)

    run(spec, more=3, backend=replace(usual, connect=connect))
    assert longest == [spec.load.warmup_max_seconds, WARM_SECONDS, WARM_SECONDS]
    brief = replace(spec, load=replace(spec.load, warmup_max_seconds=0.5))
    longest.clear()
    run(brief, more=2, backend=replace(usual, study=brief, connect=connect), database="brief")
    assert longest == [0.5, 0.5]
