"""Whatever the sampler: it learns, or at least never repeats, what runs out of memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, get_args

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.model.initial_design import initial_design
from tuner.search.make_sampler import make_sampler
from tuner.search.study_sampler import ask
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import SamplerName

HAS_TORCH = importlib.util.find_spec("torch") is not None
LEARNING: tuple[SamplerName, ...] = ("bayes", "tpe", "nsga2")
OTHERS: tuple[SamplerName, ...] = ("random", "qmc", "grid")

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 1024, choices=(64, 128, 256, 512, 1024)),
        Parameter("replicas", "int", "decision", 1, low=1, high=6),
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
    )
)
TRIALS, START = 54, 8


def runs_out(at: Mapping[str, Any], base: float) -> bool:
    return bool(base + 12.0 * at["concurrency"] / at["replicas"] > at["memory"])


def share_by_chance(base: float) -> float:
    every = list(SPACE.grid())
    return sum(runs_out(at, base) for at in every) / len(every)


def proposals(name: SamplerName, seed: int, base: float, trials: int) -> list[Configuration]:
    """What a study measures that begins as every study does."""
    study = optuna.create_study(
        directions=["minimize", "minimize"],
        sampler=make_sampler(name, SPACE, seed, startup=START),
    )
    for start in initial_design(SPACE, START, seed):
        study.enqueue_trial(dict(start))
    found = []
    worst = [1000.0, 1000.0]
    for _ in range(trials):
        trial, at = ask(study, SPACE)
        found.append(at)
        bad = runs_out(at, base)
        cores = float(at["cpu"]) * float(at["replicas"])
        values = [2.0 + 10.0 * float(at["concurrency"]) / cores, 5.0 * cores + 1.0]
        trial.set_constraint("serves", 1.0 if bad else -1.0)
        study.tell(trial, worst if bad else values)
    return found


def test_every_name_is_looked_at() -> None:
    assert {*LEARNING, *OTHERS, "gp"} == set(get_args(SamplerName))


@pytest.mark.parametrize("name", LEARNING)
@settings(max_examples=1, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), base=st.floats(150.0, 400.0))
def test_none_that_learns_proposes_what_runs_out_of_memory_for_ever(
    name: SamplerName, seed: int, base: float
) -> None:
    assert share_by_chance(base) > 0.4
    shares = []
    for draw in range(3):
        found = proposals(name, seed + draw, base, TRIALS)
        last = found[-TRIALS // 3 :]
        shares.append(sum(runs_out(at, base) for at in last) / len(last))
        assert len(set(found)) == len(found)
    # A genetic one is at its third generation only.
    allowed = {"bayes": 0.2, "tpe": 0.7, "nsga2": 0.9}[name]
    assert sum(shares) / len(shares) <= allowed * share_by_chance(base)


@pytest.mark.parametrize("name", OTHERS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), base=st.floats(150.0, 400.0))
def test_none_that_does_not_learn_proposes_it_twice(
    name: SamplerName, seed: int, base: float
) -> None:
    found = proposals(name, seed, base, TRIALS)
    assert sum(runs_out(at, base) for at in found) > 5
    assert len(set(found)) == len(found)


@pytest.mark.skipif(not HAS_TORCH, reason="sampler 'gp' needs PyTorch")
def test_nor_does_gp() -> None:
    found = proposals("gp", 0, 200.0, 30)
    assert sum(runs_out(at, 200.0) for at in found[-10:]) <= 4
    assert len(set(found)) == len(found)
