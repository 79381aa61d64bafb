"""Bursts with packet loss in a study: every reader has the same composed values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from optuna.study import Study

from tests.study.small import FEASIBLE, opened, run, specification
from tuner.export.trial_documents import trials_document
from tuner.measure.pruning import known_loss
from tuner.measure.record import StudyRecord
from tuner.model.observations import Observation
from tuner.pages.blocks import Block, Facts
from tuner.pages.trial_page import trial_blocks
from tuner.results.pooled import pooled
from tuner.results.wording import interval
from tuner.search.observed import observations
from tuner.spec.space import Configuration
from tuner.spec.study import Objective
from tuner.study.storage import records, study_record

METRICS = ("art_ms", "cpu_percent")
LOSSY = ("choices: [0], default: 0", "choices: [0, 5], default: 0")
WINDOW = ("max_seconds: 1,", "max_seconds: 10, precision: 0.1,")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """All 24 configurations, half of them with packet loss."""
    with contextlib.chdir(tmp_path_factory.mktemp("lossy")):
        spec = specification(FEASIBLE, LOSSY, WINDOW, ("trials: 8", "trials: 24"))
        run(spec)
        yield opened(spec)


@pytest.fixture
def study(simulated: Study) -> StudyRecord:
    return study_record(simulated)


def facts(blocks: Iterator[Block]) -> dict[str, str]:
    return {name: str(cell) for b in blocks if isinstance(b, Facts) for name, cell in b.rows}


def test_every_reader_has_the_same_values(simulated: Study, study: StudyRecord) -> None:
    told = {o.number: o for o in observations(study.search_space, simulated.trials, METRICS)}
    by_configuration = {p.configuration: p for p in pooled(study)}
    document = trials_document(study, study.trials)
    exported = {t["trial"]: t["objectives"]["art_ms"]["value"] for t in document["trials"]}
    composed = [t for t in study.trials if t.composed("art_ms")]
    assert len(composed) > 8
    for trial in composed:
        assert trial.values != trial.as_measured.values
        assert told[trial.number] == Observation.of(trial, METRICS)
        assert told[trial.number].values == trial.values
        assert by_configuration[trial.configuration].values == trial.values
        assert exported[trial.number] == trial.values[0]


def test_they_are_far_better_known_than_one_burst_knows_them(study: StudyRecord) -> None:
    for trial in study.trials:
        if trial.composed("art_ms"):
            whole, alone = trial.metric("art_ms"), trial.as_measured.metric("art_ms")
            assert whole is not None
            assert alone is not None
            assert (whole.relative_error or 1) < 0.1
            assert (whole.relative_error or 1) < (alone.relative_error or 1)


def test_what_is_stored_is_what_was_measured(simulated: Study, study: StudyRecord) -> None:
    again = StudyRecord.from_json(json.loads(json.dumps(study.to_json())))
    assert again.trials == study.trials
    assert [t.as_measured for t in again.trials] == records(simulated)


def test_a_trial_says_what_it_is_made_of(study: StudyRecord) -> None:
    trial = next(t for t in study.trials if t.composed("art_ms"))
    said = facts(trial_blocks(study, trial))
    own = trial.composed("art_ms")
    assert own is not None
    assert said["ART without lost packets"] == f"{interval(own.own)} ms"
    assert f"they add {interval(own.network)} ms" in said["lost packets"]
    alone = replace(trial.as_measured, configuration=trial.configuration)
    assert alone.measurement is not None
    alone = replace(alone, measurement=replace(alone.measurement, errors={"RESET": 1}))
    study = StudyRecord.of(study.name, study.specification, {}, [alone])
    said = facts(trial_blocks(study, study.trials[0]))
    assert "this burst alone" in said["lost packets"]
    assert "failed" in said["lost packets"]


def test_later_bursts_do_not_wait_for_what_the_study_knows(study: StudyRecord) -> None:
    lossy = [t.as_measured for t in study.trials if t.stated]
    reasons = [t.measurement.stop_reason for t in lossy if t.measurement]
    assert "without lost packets" not in reasons[0]
    assert sum("without lost packets" in reason for reason in reasons[6:]) >= 4


def test_what_the_study_knows_of_a_network(study: StudyRecord) -> None:
    lossy = Configuration.of({**study.search_space.baseline(), "loss": 5})
    known = known_loss(study, lossy)
    assert known is not None
    assert known.mean_ms == pytest.approx(24, rel=0.2), "2 x 5 % x a little more than 200 ms"
    assert known_loss(study, study.search_space.baseline()) is None, "no packet is lost"
    assert known_loss(study, Configuration.of({**lossy, "loss": 1})) is None
    assert known_loss(study, Configuration.of({**lossy, "rate": 9.0})) is None
    tail = (*study.objectives, Objective("p99_ms", "minimize"))
    assert known_loss(replace(study, objectives=tail), lossy) is None
    first = StudyRecord.of(study.name, study.specification, {}, study.trials[:1])
    assert known_loss(first, lossy) is None


def test_what_all_configurations_share_does_not_blur_which_is_better(study: StudyRecord) -> None:
    for trial in study.trials:
        composed, known = trial.composed("art_ms"), trial.compared_error("art_ms")
        if composed is None:
            alone = trial.metric("art_ms")
            assert alone is None or known == alone.relative_error
            continue
        assert known == Observation.of(trial, METRICS).relative_sd[0]
        assert known is not None
        assert composed.own_error <= known
        assert known < (composed.total.relative_error or 1)


def test_repeats_do_not_average_out_what_they_share(study: StudyRecord) -> None:
    trial = next(t for t in study.trials if t.composed("art_ms"))
    shared = trial.composed("art_ms")
    assert shared is not None
    repeats = [replace(trial, number=100 + i, configuration=trial.configuration) for i in range(50)]
    many = replace(study, trials=(*study.trials, *repeats))
    found = next(p for p in pooled(many) if p.configuration == trial.configuration)
    assert found.sd[0] >= shared.network_error
    assert found.sd[0] == pytest.approx(shared.network_error, rel=0.05)
