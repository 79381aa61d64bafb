"""A study that grows does not do anew what it did before: each trial is read a few times, once by
each who keeps it, and not again after every other one.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from tests.study.small import opened, run, specification
from tests.study.test_settling import SETTLING
from tuner.measure.record import TrialRecord
from tuner.search import distributions
from tuner.spec.space import Configuration, SearchSpace
from tuner.study.settling import Decider
from tuner.study.storage import records, study_record

TRIALS = 30


def test_each_record_is_read_once_by_whoever_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[int] = Counter()
    from_json = TrialRecord.from_json

    def counted(document: Mapping[str, Any]) -> TrialRecord:
        read[document["number"]] += 1
        return from_json(document)

    monkeypatch.setattr(TrialRecord, "from_json", counted)
    run(specification(*SETTLING), more=TRIALS)
    assert len(read) == TRIALS
    # The loop and the sampler.
    assert max(read.values()) <= 2


def test_what_a_finished_trial_was_asked_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[int] = Counter()
    configuration_of = distributions.configuration_of

    def counted(space: SearchSpace, trial: FrozenTrial) -> Configuration | None:
        if trial.state.is_finished():
            read[trial.number] += 1
        return configuration_of(space, trial)

    monkeypatch.setattr(distributions, "configuration_of", counted)
    run(specification(*SETTLING), more=TRIALS)
    assert set(read.values()) == {1}


@pytest.mark.thorough
def test_a_look_at_records_that_were_read_is_a_look_at_the_stored_ones() -> None:
    spec = specification(*SETTLING)
    study = run(spec, more=TRIALS)
    done = records(study)
    assert study_record(study, done) == study_record(study)
    again = Decider(spec, opened(spec))
    assert Decider(spec, study).deciding(done, None) == again.deciding(records(study), None)


def test_a_configuration_is_found_again_in_another_process() -> None:
    one = Configuration.of({"cpu": 1.0, "mode": "fast"})
    assert {one: 1}[one] == 1
    again = pickle.loads(pickle.dumps(one))
    assert vars(again).keys() == {"items_"}, "a hash of texts holds in one process only"
    assert again == one
