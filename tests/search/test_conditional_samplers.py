"""Every sampler on spaces with conditions."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, get_args

import optuna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tests import conditional
from tests.conditional import BATCHING
from tests.search.studies import new_study
from tuner.search.distributions import configuration_of, distributions
from tuner.search.make_sampler import SpaceExhausted, make_sampler
from tuner.search.study_sampler import ask
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace
from tuner.spec.study import SamplerName

HAS_TORCH = importlib.util.find_spec("torch") is not None
NAMES: tuple[SamplerName, ...] = tuple(
    name for name in get_args(SamplerName) if name != "gp" or HAS_TORCH
)
QUICK = tuple(name for name in NAMES if name != "gp")

MOST = 80
"""Configurations of a space that is proposed to its end: the time grows with the square."""

RARE = SearchSpace(
    (
        BATCHING["batching"],
        Parameter(
            "share", "float", "decision", 0.5, low=0.0, high=1.0,
            when=Condition("batching", "==", (True,)),
        ),
    )
)  # fmt: skip
"""One configuration without batching, no end of them with it."""


def cost(at: Mapping[str, Any]) -> list[float]:
    """Batching pays with large batches only."""
    gain = {4: 0.5, 16: 2.0, 64: 8.0}[at["size"]] if at.get("batching") else 1.0
    used = at["cpu"] * at.get("replicas", 1)
    return [10.0 / used / gain + 1, used]


def step(study: optuna.Study, space: SearchSpace) -> Configuration:
    trial, at = ask(study, space)
    study.tell(trial, cost(at) if "cpu" in at else [1.0 + trial.number, 9.0 - trial.number % 5])
    return at


def exhausted(name: SamplerName, space: SearchSpace, seed: int) -> None:
    study = new_study(name, space, seed)
    sampler = make_sampler(name, space, seed, startup=4)
    found = []
    for left in range(space.size() or 0, 0, -1):
        assert sampler.unvisited(study) == left
        found.append(step(study, space))
        stored = study.get_trials(deepcopy=False)[-1]
        assert stored.params.keys() == found[-1].keys()
        assert configuration_of(space, stored) == found[-1]
    assert len(set(found)) == len(found)
    assert set(found) == set(conditional.configurations(space))
    assert sampler.unvisited(study) == 0
    with pytest.raises(SpaceExhausted):
        ask(study, space)
    assert len(study.get_trials()) == len(found), "none left RUNNING"
    if len(found) > 1:  # of a single one there is nothing that Optuna would ask a sampler
        with pytest.raises(SpaceExhausted):
            study.ask(distributions(space))
        assert study.get_trials()[-1].state is TrialState.FAIL


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_space_is_proposed_and_nothing_twice(name: SamplerName) -> None:
    exhausted(name, BATCHING, 3)


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=12, deadline=None)
@given(space=conditional.spaces(most=4), seed=st.integers(0, 2**31 - 1))
def test_any_conditions_hold_in_all_that_is_proposed(
    name: SamplerName, space: SearchSpace, seed: int
) -> None:
    assume((space.size() or 0) <= MOST)
    exhausted(name, space, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_proposes_what_it_would_have(name: SamplerName) -> None:
    count, kill_at = 12, 7
    study = new_study(name, BATCHING)
    whole = [step(study, BATCHING) for _ in range(count)]
    storage = RDBStorage("sqlite:///:memory:")
    study = new_study(name, BATCHING, storage=storage)
    found = [step(study, BATCHING) for _ in range(kill_at)]
    found += [
        step(new_study(name, BATCHING, storage=storage), BATCHING) for _ in range(count - kill_at)
    ]
    assert found == whole


@pytest.mark.parametrize("name", [n for n in NAMES if n != "grid"])
def test_a_continuum_with_a_condition(name: SamplerName) -> None:
    study = new_study(name, RARE)
    found = [step(study, RARE) for _ in range(10)]
    assert len(set(found)) == 10
    assert all(("share" in at) == at["batching"] for at in found)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_enqueued_in_part_is_completed_within_the_conditions(name: SamplerName) -> None:
    study = new_study(name, BATCHING)
    for batching in (True, False, True, False):
        study.enqueue_trial({"batching": batching})
        trial, at = ask(study, BATCHING)
        assert at["batching"] is batching
        assert trial.params == dict(at)
        assert at in set(conditional.configurations(BATCHING))
        study.tell(trial, cost(at))


@pytest.mark.parametrize("name", NAMES)
def test_a_repeat_and_a_waiting_trial_are_run_as_they_are(name: SamplerName) -> None:
    study = new_study(name, BATCHING)
    off = {"cpu": 1.0, "batching": False, "net": "wifi"}
    on = {**off, "size": 64, "batching": True, "padding": "zeros"}
    for asked in (off, on, off):
        study.enqueue_trial(asked)
    sampler = make_sampler(name, BATCHING, 0)
    assert sampler.unvisited(study) == 34
    assert [step(study, BATCHING) for _ in range(3)] == [off, on, off]
    assert step(study, BATCHING) not in (off, on)


@pytest.mark.parametrize("seed", range(4))
def test_tpe_learns_a_parameter_that_is_there_only_at_times(seed: int) -> None:
    space = SearchSpace((*BATCHING, Parameter("replicas", "int", "decision", 1, low=1, high=6)))
    by_chance = sum(at.get("size") == 64 for at in space.grid()) / (space.size() or 1)
    study = new_study("tpe", space, seed)
    found = [step(study, space) for _ in range(50)]
    assert sum(at.get("size") == 64 for at in found[-30:]) / 30 > 1.2 * by_chance
