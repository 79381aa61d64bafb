"""A study whose parameters depend on each other, from the file to its record."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import TrialState

from tests.study.small import opened, run, specification
from tests.study.worlds import breaking
from tuner.errors import InputError
from tuner.search.distributions import configuration_of
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Started
from tuner.study.plan import plan_study
from tuner.study.storage import records, study_record
from tuner.trial import deployment_spec

LOSS = "  loss: {role: scenario, type: float, choices: [0], default: 0}\n"
BATCHING = """\
  size: {role: decision, type: int, choices: [4, 16], default: 4, flag: max_batch_size,
    when: batching == true}
  batching: {role: decision, type: categorical, choices: [false, true], default: false,
    flag: enable_batching}
"""
DELAY = """\
  delay: {role: scenario, type: float, choices: [0, 20], default: 0}
  jitter: {role: scenario, type: float, choices: [1, 2, 5], default: 1, when: delay != 0}
"""
ONE_CPU = ("choices: [0.25, 0.5, 1], default: 1", "choices: [1], default: 1")


def conditional(*changes: tuple[str, str]) -> StudySpec:
    """2 levels of concurrency x 2 of replicas x (1 + 2) of batching; 12 configurations."""
    return specification((LOSS, LOSS + BATCHING), ONE_CPU, ("[8, 64, 256]", "[256]"), *changes)


@pytest.mark.parametrize("sampler", ["tpe", "grid"])  # the others: tests/search
def test_every_effective_configuration_is_measured_once(sampler: str) -> None:
    spec = conditional(("sampler: tpe", f"sampler: {sampler}"))
    assert spec.search_space.size() == 12
    study = run(spec, more=100)
    trials = records(study)
    assert len(trials) == 12
    assert {t.configuration for t in trials} == set(spec.search_space.grid())
    assert trials[0].configuration == spec.search_space.baseline()
    assert "size" not in trials[0].configuration
    for trial, stored in zip(trials, study.get_trials(), strict=True):
        assert stored.state is TrialState.COMPLETE
        assert stored.params == dict(trial.configuration)


def test_the_server_gets_the_flags_of_active_parameters_only() -> None:
    spec = conditional(("search_space:", "serving: {flags: {a: 1}}\nsearch_space:"))
    found = [deployment_spec(spec, c).serving.flags for c in spec.search_space.grid()]
    assert {tuple(sorted(flags.items())) for flags in found} == {
        (("a", "1"), ("enable_batching", "false")),
        (("a", "1"), ("enable_batching", "true"), ("max_batch_size", "4")),
        (("a", "1"), ("enable_batching", "true"), ("max_batch_size", "16")),
    }


def test_it_is_read_back_resumed_and_repeated() -> None:
    spec = conditional()
    first = records(run(spec))
    record = study_record(opened(spec))
    assert record.search_space == spec.search_space
    assert list(record.trials) == first
    assert record.baseline == first[0]
    assert records(run(spec)) == first
    on, off = (
        next(t for t in first if ("size" in t.configuration) == batching)
        for batching in (True, False)
    )
    again = records(run(spec, repeats=(on.number, off.number)))[len(first) :]
    assert [t.configuration for t in again] == [on.configuration, off.configuration]


def test_an_interrupted_trial_is_run_again_as_it_was() -> None:
    spec = conditional()
    asked: list[Started] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event)
            if len(asked) == 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, observe=interrupt)
    trials = records(run(spec, more=7))
    assert {t.configuration for t in trials} == set(spec.search_space.grid())
    assert asked[-1].configuration in {t.configuration for t in trials}


def test_failed_trials_keep_their_configuration() -> None:
    spec = conditional()
    study = run(spec, backend=breaking(spec, 1))
    (failed,) = study_record(study).failed
    assert failed.configuration == spec.search_space.baseline()
    assert configuration_of(spec.search_space, study.get_trials()[0]) == failed.configuration


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("when: batching == true", "when: batching != false"),
        ("when: batching == true", "when: batching == false"),
        (",\n    when: batching == true", ""),
    ],
)
def test_another_condition_is_another_study(old: str, new: str) -> None:
    run(conditional(), more=1)
    with pytest.raises(InputError, match=r"search_space\.size\.when"):
        run(conditional((old, new)), more=1)


def test_a_study_from_before_there_were_conditions_goes_on() -> None:
    spec = specification()
    study = run(spec, more=2)
    for key in ("comparable", "specification"):
        stored: dict[str, Any] = study.user_attrs[key]
        for parameter in stored["search_space"].values():
            assert parameter.pop("when") is None
        study.set_user_attr(key, stored)
    assert study_record(study).search_space == spec.search_space
    assert len(records(run(spec, more=1))) == 3


def test_the_plan_counts_effective_configurations_and_scenarios() -> None:
    found = plan_study(specification((LOSS, LOSS + DELAY)), [])
    assert found.scenarios == 2 * (1 + 3)
    assert found.grid == 2 * 3 * 3 * 2 * (1 + 3)
    assert plan_study(conditional(), []).grid == 12
