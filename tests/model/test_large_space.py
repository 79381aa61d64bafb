from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import conditional
from tuner.model.large_space import is_whole, sampled
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace

CONTINUOUS = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, low=0.1, high=4.0, log=True),
        Parameter("share", "float", "decision", 0.5, low=0.0, high=1.0),
        Parameter(
            "mode", "categorical", "decision", "a", choices=("a", "b"),
            when=Condition("split", "==", (True,)),
        ),
        Parameter("split", "categorical", "decision", False, choices=(False, True)),
        Parameter("concurrency", "int", "scenario", 4, low=1, high=1000),
        Parameter("loss", "float", "scenario", 0.0, low=0.0, high=5.0),
    )
)  # fmt: skip
CENTRE = Configuration.of(
    {"cpu": 2.0, "share": 0.25, "split": False, "concurrency": 10, "loss": 1.0}
)


def inside(space: SearchSpace, found: Configuration) -> bool:
    for p in space:
        if p.name not in found:
            continue
        values, value = p.values(), found[p.name]
        if values is not None:
            if value not in values:
                return False
        elif not (p.low or 0) <= float(value) <= (p.high or 0):
            return False
    return found == space.effective(space.filled(found))


def test_all_are_inside_distinct_and_the_same_again() -> None:
    found = sampled(CONTINUOUS, [CENTRE], (1, 2), up=CENTRE)
    assert len(set(found)) == len(found) > 1000
    assert all(inside(CONTINUOUS, c) for c in found)
    assert found == sampled(CONTINUOUS, [CENTRE], (1, 2), up=CENTRE)
    assert found != sampled(CONTINUOUS, [CENTRE], (1, 3), up=CENTRE)


def test_some_are_near_a_centre_and_some_on_its_deployment() -> None:
    found = sampled(CONTINUOUS, [CENTRE], (0, 0), up=CENTRE)
    near = [c for c in found if sum(c.get(p.name) != CENTRE.get(p.name) for p in CONTINUOUS) <= 2]
    assert len(near) > 20
    deployment = CONTINUOUS.deployment_of(CENTRE)
    assert sum(CONTINUOUS.deployment_of(c) == deployment for c in found) > 20


def test_every_decision_comes_in_every_scenario() -> None:
    found = sampled(CONTINUOUS, [CENTRE], (0, 0), scenarios=("concurrency", "loss"))
    scenarios = {CONTINUOUS.scenario_of(c) for c in found}
    assert 2 <= len(scenarios) <= 36
    decisions: dict[Configuration, set[Configuration]] = {}
    for c in found:
        decisions.setdefault(CONTINUOUS.deployment_of(c), set()).add(CONTINUOUS.scenario_of(c))
    assert all(there == scenarios for there in decisions.values())


@settings(max_examples=25, deadline=None)
@given(conditional.spaces(), st.integers(0, 1000))
def test_conditions_hold(space: SearchSpace, seed: int) -> None:
    found = sampled(space, [space.baseline()], (seed, 0))
    assert set(found) <= set(conditional.configurations(space))


def test_what_is_looked_at_as_a_whole() -> None:
    small = SearchSpace((Parameter("x", "int", "decision", 1, low=1, high=2880),))
    large = SearchSpace((Parameter("x", "int", "decision", 1, low=1, high=60_000),))
    assert is_whole(small, 0)
    assert is_whole(small, 5000)
    assert not is_whole(small, 6000)
    assert not is_whole(large, 1)
    assert not is_whole(CONTINUOUS, 0)
