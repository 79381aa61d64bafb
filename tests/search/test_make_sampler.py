from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, get_args

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tests.search.studies import new_study
from tuner.errors import InputError
from tuner.model.initial_design import initial_design
from tuner.search.distributions import configuration, distributions
from tuner.search.make_sampler import FAILURES_ALLOWED, SpaceExhausted, make_sampler
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import SamplerName

HAS_TORCH = importlib.util.find_spec("torch") is not None
NAMES: tuple[SamplerName, ...] = tuple(
    name for name in get_args(SamplerName) if name != "gp" or HAS_TORCH
)

MEDIUM = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 512, choices=(64, 128, 256, 512)),
        Parameter("replicas", "int", "decision", 1, low=1, high=6),
        Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable")),
        Parameter("fixed", "int", "scenario", 3, choices=(3,)),
    )
)
SMALL = SearchSpace((MEDIUM["cpu"], MEDIUM["net"]))
CONTINUOUS = SearchSpace(
    (
        Parameter("x", "float", "decision", 0.5, low=0.0, high=1.0),
        Parameter("y", "float", "decision", 1.0, low=0.1, high=10.0, log=True),
    )
)


def bowl(at: Mapping[str, Any]) -> list[float]:
    return [10.0 / at["cpu"] / at["replicas"] + 1, at["cpu"] * at["replicas"]]


def needs_memory(at: Mapping[str, Any]) -> float:
    """Positive where the memory does not suffice."""
    return 540.0 / float(at["replicas"]) - float(at["memory"])


def step(
    study: optuna.Study,
    space: SearchSpace,
    violation: Callable[[Mapping[str, Any]], float] = lambda _: -1.0,
) -> Configuration:
    trial = study.ask(distributions(space))
    at = configuration(space, trial.params)
    broken = violation(at)
    trial.set_constraint("memory", broken)
    study.tell(trial, [1000.0, 100.0] if broken > 0 else bowl(at))
    return at


@pytest.mark.parametrize("name", NAMES)
def test_no_point_twice_until_all_are_measured(name: SamplerName) -> None:
    study = new_study(name, SMALL)
    sampler = make_sampler(name, SMALL, 0, startup=4)
    found = []
    for left in range(8, 0, -1):
        assert sampler.unvisited(study) == left
        trial = study.ask(distributions(SMALL))
        found.append(configuration(SMALL, trial.params))
        study.tell(trial, [1.0 + trial.number, 9.0 - trial.number])
    assert set(found) == set(SMALL.grid())
    assert sampler.unvisited(study) == 0
    with pytest.raises(SpaceExhausted, match="all 8"):
        study.ask(distributions(SMALL))
    assert [t.state for t in study.get_trials()[8:]] == [TrialState.FAIL]  # none left RUNNING


@pytest.mark.parametrize("name", [n for n in NAMES if n != "gp"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_no_infeasible_point_is_proposed_again(name: SamplerName, seed: int) -> None:
    study = new_study(name, MEDIUM, seed)
    found = [step(study, MEDIUM, needs_memory) for _ in range(40)]
    assert len(set(found)) == len(found)
    assert any(needs_memory(at) > 0 for at in found)  # or the test would show nothing


@pytest.mark.skipif(not HAS_TORCH, reason="sampler 'gp' needs PyTorch")
def test_no_infeasible_point_is_proposed_again_by_gp() -> None:
    study = new_study("gp", MEDIUM)
    found = [step(study, MEDIUM, needs_memory) for _ in range(12)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("seed", range(4))
def test_tpe_learns_to_keep_out_of_what_is_infeasible(seed: int) -> None:
    by_chance = sum(needs_memory(at) > 0 for at in MEDIUM.grid()) / (MEDIUM.size() or 1)
    assert by_chance > 0.4
    study = new_study("tpe", MEDIUM, seed)
    for at in initial_design(MEDIUM, 8, seed):
        study.enqueue_trial(dict(at))
    found = [needs_memory(step(study, MEDIUM, needs_memory)) > 0 for _ in range(50)]
    assert sum(found[-30:]) / 30 < by_chance / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_proposes_what_it_would_have(name: SamplerName) -> None:
    count, kill_at = 12, 7
    study = new_study(name, MEDIUM)
    whole = [step(study, MEDIUM) for _ in range(count)]

    storage = RDBStorage("sqlite:///:memory:")  # all that is left of a killed study
    study = new_study(name, MEDIUM, storage=storage)
    found = [step(study, MEDIUM) for _ in range(kill_at)]
    if name != "qmc":  # its sequence would go on by one point
        study.ask(distributions(MEDIUM))  # killed within this trial
        resumed = new_study(name, MEDIUM, storage=storage)
        resumed.tell(resumed.get_trials()[-1].number, state=TrialState.FAIL)
    for _ in range(count - kill_at):
        resumed = new_study(name, MEDIUM, storage=storage)
        found.append(step(resumed, MEDIUM))
    assert found == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: SamplerName) -> None:
    def proposals(seed: int) -> list[Configuration]:
        study = new_study(name, MEDIUM, seed)
        return [step(study, MEDIUM) for _ in range(8)]

    assert proposals(1) == proposals(1)
    assert proposals(1) != proposals(2)


@pytest.mark.parametrize("name", NAMES)
def test_running_and_waiting_points_are_not_proposed(name: SamplerName) -> None:
    study = new_study(name, SMALL)
    grid = list(SMALL.grid())
    trials = [study.ask(distributions(SMALL)) for _ in range(3)]
    asked = [configuration(SMALL, t.params) for t in trials]
    waiting = next(at for at in grid if at not in asked)
    study.enqueue_trial(dict(waiting))
    assert study.ask(distributions(SMALL)).params == dict(waiting)
    study.enqueue_trial(dict(waiting))  # a repeat that was asked for
    assert study.ask(distributions(SMALL)).params == dict(waiting)
    left = {configuration(SMALL, study.ask(distributions(SMALL)).params) for _ in range(4)}
    assert left == set(grid) - set(asked) - {waiting}


def test_a_waiting_point_counts_before_anybody_has_asked_for_it() -> None:
    study = new_study("random", SMALL)
    sampler = make_sampler("random", SMALL, 0)
    study.enqueue_trial(dict(next(SMALL.grid())))
    assert sampler.unvisited(study) == 7


def test_a_failed_point_may_come_back_once() -> None:
    study = new_study("grid", SMALL)
    found = []
    for _ in range(FAILURES_ALLOWED + 1):
        trial = study.ask(distributions(SMALL))
        found.append(configuration(SMALL, trial.params))
        study.tell(trial, state=TrialState.FAIL)
    assert found[0] == found[1]
    assert found[2] != found[0]


@pytest.mark.parametrize("name", [n for n in NAMES if n != "grid"])
def test_continuous_spaces(name: SamplerName) -> None:
    study = new_study(name, CONTINUOUS)
    assert make_sampler(name, CONTINUOUS, 0).unvisited(study) is None
    seen = set()
    for _ in range(8):
        trial = study.ask(distributions(CONTINUOUS))
        assert 0 <= trial.params["x"] <= 1
        assert 0.1 <= trial.params["y"] <= 10
        seen.add((trial.params["x"], trial.params["y"]))
        study.tell(trial, [trial.params["x"] + 1, trial.params["y"]])
    assert len(seen) == 8


def test_a_genetic_sampler_counts_the_start_of_the_study() -> None:
    study = new_study("nsga2", MEDIUM)
    for at in initial_design(MEDIUM, 5, 0):
        study.enqueue_trial(dict(at))
    for _ in range(25):
        step(study, MEDIUM)
    generations = [t.system_attrs["NSGAIISampler:generation"] for t in study.get_trials()]
    assert generations == [0] * 20 + [1] * 5


def test_grid_is_a_seeded_random_order() -> None:
    study = new_study("grid", MEDIUM, 3)
    found = [step(study, MEDIUM) for _ in range(30)]
    ordered = list(MEDIUM.grid())
    assert [ordered.index(at) for at in found] != sorted(ordered.index(at) for at in found)


def test_grid_needs_a_finite_space() -> None:
    with pytest.raises(InputError, match="no end of them"):
        make_sampler("grid", CONTINUOUS, 0)


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_gp_says_what_it_needs() -> None:
    with pytest.raises(InputError, match="PyTorch") as raised:
        make_sampler("gp", MEDIUM, 0)
    assert "bayes" in raised.value.mend


def test_a_parameter_that_is_not_in_the_space_is_refused() -> None:
    trial = new_study("tpe", SMALL).ask()
    with pytest.raises(ValueError, match="'other' is not in the search space"):
        trial.suggest_float("other", 0, 1)
