"""A worker learns before its turn: what ends meanwhile counts as still being measured."""

from __future__ import annotations

import optuna
import pytest

from tests.search.studies import new_study
from tuner.search.study_sampler import StudySampler, ask
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import SamplerName

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("replicas", "int", "decision", 1, low=1, high=6),
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
    )
)


def values(at: Configuration) -> list[float]:
    cores = float(at["cpu"]) * float(at["replicas"])
    return [2.0 + 10.0 * float(at["concurrency"]) / cores, 5.0 * cores + 1.0]


def study_with_one_running(name: SamplerName) -> tuple[optuna.Study, optuna.Trial, Configuration]:
    study = new_study(name, SPACE)
    for _ in range(9):
        trial, at = ask(study, SPACE)
        study.tell(trial, values(at))
    return study, *ask(study, SPACE)


@pytest.mark.parametrize("name", ["bayes", "random"])
def test_what_ends_after_the_look_changes_no_proposal(name: SamplerName) -> None:
    study, running, at = study_with_one_running(name)
    sampler = study.sampler
    assert isinstance(sampler, StudySampler)
    before = sampler.propose(study).configuration
    with sampler.ahead(study):
        assert sampler.propose(study).configuration == before
        study.tell(running, values(at))
        assert sampler.propose(study).configuration == before
    assert before != at


def test_afterwards_it_counts() -> None:
    study, running, _ = study_with_one_running("bayes")
    sampler = study.sampler
    assert isinstance(sampler, StudySampler)
    with sampler.ahead(study):
        study.tell(running, [1e-3, 1e-3])  # far better than the model expects of it
        ahead = sampler.propose(study)
    assert sampler.propose(study) != ahead


def test_trials_that_others_take_meanwhile_are_not_proposed() -> None:
    study, _, _ = study_with_one_running("bayes")
    sampler = study.sampler
    assert isinstance(sampler, StudySampler)
    with sampler.ahead(study):
        found = [ask(study, SPACE)[1] for _ in range(4)]
    assert len(set(found)) == 4


def test_the_last_of_a_space_may_be_taken_meanwhile() -> None:
    space = SearchSpace((Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0)),))
    study = new_study("bayes", space)
    for _ in range(2):
        trial, at = ask(study, space)
        study.tell(trial, [float(at["cpu"]), 1 / float(at["cpu"])])
    assert isinstance(study.sampler, StudySampler)
    with study.sampler.ahead(study):
        pass
