from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.model.fronts import fronts
from tuner.spec.metrics import Direction
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0, 5.0)),
        Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable")),
    )
)
BOTH: tuple[Direction, ...] = ("minimize", "minimize")


def at(cpu: float, loss: float, net: str = "wifi") -> Configuration:
    return Configuration.of({"cpu": cpu, "loss": loss, "net": net})


def test_each_scenario_has_its_own_front_in_the_order_of_the_space() -> None:
    configurations = [at(1, 5), at(2, 0), at(1, 0), at(0.5, 0), at(1, 0, "cable")]
    values = [[20.0, 5.0], [2.0, 30.0], [3.0, 20.0], [3.0, 25.0], [9.0, 9.0]]
    found = fronts(SPACE, configurations, values, [True] * 5, BOTH)
    assert found.overall == (1, 2, 4, 0)
    # "wifi" stands before "cable" in the space.
    assert [str(s.scenario) for s in found.scenarios] == [
        "loss=0 net=wifi",
        "loss=0 net=cable",
        "loss=5 net=wifi",
    ]
    assert [s.front for s in found.scenarios] == [(1, 2), (4,), (0,)]
    assert [s.trials for s in found.scenarios] == [(1, 2, 3), (4,), (0,)]


def test_a_scenario_may_lack_a_parameter() -> None:
    delay = Parameter("delay", "int", "scenario", 0, choices=(0, 20))
    jitter = Parameter(
        "jitter", "int", "scenario", 1, choices=(1, 5), when=Condition("delay", "!=", (0,))
    )
    space = SearchSpace((SPACE["cpu"], jitter, delay))
    some = [{"delay": 20, "jitter": 5}, {"delay": 0}, {"delay": 20, "jitter": 1}, {"delay": 0}]
    configurations = [space.effective({"cpu": 1.0, **one}) for one in some]
    found = fronts(space, configurations, [[1, 1], [2, 2], [3, 3], [1, 2]], [True] * 4, BOTH)
    assert [str(s.scenario) for s in found.scenarios] == [
        "delay=0",
        "jitter=1 delay=20",
        "jitter=5 delay=20",
    ]
    assert [s.front for s in found.scenarios] == [(3,), (2,), (0,)]


def test_the_infeasible_are_on_no_front() -> None:
    found = fronts(
        SPACE, [at(1, 0), at(2, 0), at(1, 5)], [[1, 1], [2, 2], [0, 0]], [False, True, False], BOTH
    )
    assert found.overall == (1,)
    assert [s.front for s in found.scenarios] == [(1,), ()]


def test_no_trials_no_fronts() -> None:
    found = fronts(SPACE, [], [], [], BOTH)
    assert (found.overall, found.scenarios) == ((), ())


def test_without_scenario_parameters_there_is_the_overall_front_only() -> None:
    space = SearchSpace(SPACE.with_role("decision"))
    found = fronts(space, [{"cpu": 1.0}, {"cpu": 2.0}], [[1, 2], [2, 3]], [True, True], BOTH)
    assert (found.overall, found.scenarios) == ((0,), ())


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one row"):
        fronts(SPACE, [at(1, 0)], [[1, 1], [2, 2]], [True], BOTH)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 5.0]), st.integers(0, 4), st.integers(0, 4), st.booleans()
        ),
        max_size=20,
    )
)
def test_the_overall_front_is_within_the_scenario_fronts(
    trials: list[tuple[float, int, int, bool]],
) -> None:
    configurations = [at(1, loss) for loss, *_ in trials]
    values = [[a, b] for _, a, b, _ in trials]
    found = fronts(SPACE, configurations, values, [ok for *_, ok in trials], BOTH)
    in_scenarios = {i for s in found.scenarios for i in s.front}
    assert set(found.overall) <= in_scenarios
    assert sorted(i for s in found.scenarios for i in s.trials) == list(range(len(trials)))
