from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import conditional
from tuner.model.initial_design import initial_design, initial_trials
from tuner.spec.space import Condition, Configuration, Parameter, Role, SearchSpace, Value

FIVE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 2, 4, 8, 16, 32)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 512, choices=(128, 256, 512, 1024)),
        Parameter("replicas", "int", "decision", 2, choices=(1, 2, 3, 4, 6, 8)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 0.5, 1.0, 2.0, 5.0)),
    )
)


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    role: Role = draw(st.sampled_from(["decision", "scenario"]))
    kind = draw(st.sampled_from(["choices", "int", "log int", "step", "float", "log", "words"]))
    low = draw(st.integers(1, 5))
    width = draw(st.integers(0, 6))
    if kind == "choices":
        choices: tuple[Value, ...] = tuple(2.0**i for i in range(width + 1))
        return Parameter(name, "float", role, choices[0], choices=choices)
    if kind == "words":
        words = ("a", "b", "c")[: width % 3 + 1]
        return Parameter(name, "categorical", role, words[-1], choices=words)
    if kind == "int":
        return Parameter(name, "int", role, low, low=low, high=low + width)
    if kind == "log int":
        return Parameter(name, "int", role, low, low=low, high=low + width, log=True)
    if kind == "step":
        return Parameter(name, "float", role, low, low=low, high=low + width, step=0.5)
    return Parameter(name, "float", role, low, low=low, high=low + width + 1, log=kind == "log")


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    names = "abcde"[: draw(st.integers(1, 5))]
    return SearchSpace(tuple(draw(parameters(name)) for name in names))


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_distinct_inside_the_space_baseline_first_and_deterministic(
    space: SearchSpace, count: int, seed: int
) -> None:
    found = initial_design(space, count, seed)
    size = space.size()
    assert found[0] == space.baseline()
    assert len(found) == len(set(found)) == (count if size is None else min(count, size))
    assert found == initial_design(space, count, seed)
    for configuration in found:
        for p in space:
            values = p.values()
            if values is not None:
                assert configuration[p.name] in values
            else:
                assert p.low is not None
                assert p.high is not None
                assert p.low <= float(configuration[p.name]) <= p.high


@settings(max_examples=60, deadline=None)
@given(conditional.spaces(), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_conditions_hold_and_nothing_comes_twice(space: SearchSpace, count: int, seed: int) -> None:
    found = initial_design(space, count, seed)
    assert found[0] == space.baseline()
    assert len(found) == len(set(found)) == min(count, space.size() or count)
    assert set(found) <= set(conditional.configurations(space))


def test_a_continuum_behind_a_rare_value_is_found() -> None:
    modes = tuple("abcdefghijklmnopqrst")
    share = Parameter(
        "share", "float", "decision", 0.5, low=0.0, high=1.0, when=Condition("mode", "==", ("t",))
    )
    mode = Parameter("mode", "categorical", "decision", "a", choices=modes)
    found = initial_design(SearchSpace((mode, share)), 40, 0)
    assert len(set(found)) == 40
    assert sum("share" in c for c in found) >= 40 - len(modes[:-1])


def test_fourteen_of_five_parameters() -> None:
    found = initial_design(FIVE, 14, seed=7)
    ends = {p.name: (p.values() or ())[:: len(p.values() or ()) - 1] for p in FIVE}
    corners = [
        c for c in found[1:] if all(c[p.name] in ends[p.name] for p in FIVE.with_role("decision"))
    ]
    assert len(corners) >= 7
    # Each end of each decision parameter, and opposite corners in pairs.
    first, second = found[1], found[2]
    assert all(first[p.name] != second[p.name] for p in FIVE.with_role("decision"))
    # Scenario values of the corners are spread: no value takes them all.
    assert len({c["concurrency"] for c in corners}) >= 5
    assert len({c["loss"] for c in corners}) == 5


@pytest.mark.parametrize("each", [2, 3])
def test_several_share_a_deployment(each: int) -> None:
    found = initial_design(FIVE, 14, 7, each=each)
    assert found[0] == FIVE.baseline()
    assert len(set(found)) == 14
    deployments = [FIVE.deployment_of(c) for c in found]
    changes = sum(a != b for a, b in itertools.pairwise(deployments))
    assert changes == math.ceil(14 / each) - 1
    assert len({c["concurrency"] for c in found}) >= 4


MNIST = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 256, choices=(48, 64, 128, 256, 512)),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2, 3, 4)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 5.0)),
    )
)


def scenarios_of(found: list[Configuration], names: tuple[str, ...]) -> list[Configuration]:
    return [c.only(names) for c in found]


@pytest.mark.parametrize("each", [1, 2])
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_every_scenario_comes_before_any_comes_again(each: int, seed: int) -> None:
    came = scenarios_of(initial_design(MNIST, 18, seed, each=each), ("concurrency", "loss"))
    assert len(set(came[:9])) == len(set(came[9:])) == 9
    many = scenarios_of(initial_design(FIVE, 14, seed, each=each), ("concurrency", "loss"))
    assert len(set(many)) == 14
    assert len({c["concurrency"] for c in many}) >= 5
    assert len({c["loss"] for c in many}) >= 4


def test_scenarios_are_those_that_the_study_names() -> None:
    found = initial_design(MNIST, 12, 1, each=2, scenarios=("loss",))
    came = scenarios_of(found, ("loss",))
    assert [len(set(came[i : i + 3])) for i in range(0, 12, 3)] == [3, 3, 3, 3]


def test_without_loads_to_vary_nothing_is_shared() -> None:
    space = SearchSpace((FIVE["cpu"], FIVE["memory"], FIVE["replicas"]))
    found = initial_design(space, 14, 7, each=2)
    assert len(set(found)) == 14


@settings(max_examples=40, deadline=None)
@given(spaces(), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_shared_or_not_they_are_distinct_and_the_baseline_is_first(
    space: SearchSpace, count: int, seed: int, each: int
) -> None:
    found = initial_design(space, count, seed, each=each)
    size = space.size()
    assert found[0] == space.baseline()
    assert len(found) == len(set(found)) == (count if size is None else min(count, size))


def test_another_seed_gives_other_configurations() -> None:
    assert initial_design(FIVE, 14, 1) != initial_design(FIVE, 14, 2)


def test_logarithmic_ranges_are_filled_by_ratio() -> None:
    space = SearchSpace((Parameter("x", "float", "scenario", 1.0, low=0.01, high=100.0, log=True),))
    found = [float(c["x"]) for c in initial_design(space, 33, 0)[1:]]
    assert sum(x < 1 for x in found) == pytest.approx(16, abs=2)
    assert min(found) < 0.05
    assert math.isclose(max(found), 100, rel_tol=0.6)


@pytest.mark.parametrize(
    ("trials", "count"), [(None, 14), (200, 14), (42, 14), (30, 10), (6, 2), (3, 1), (1, 1)]
)
def test_no_more_than_a_third_of_the_budget(trials: int | None, count: int) -> None:
    assert initial_trials(trials) == count
