"""From the parameters of an Optuna study to the model's space, and back."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from tuner.model.candidates import encoded
from tuner.model.initial_design import value_at
from tuner.search.inferred_conditions import (
    InferredCondition,
    conditions_of,
    stable_distributions,
)
from tuner.search.inferred_space import InferredSpace, named_in

DISTRIBUTIONS: list[BaseDistribution] = [
    FloatDistribution(-1.0, 1.0),
    FloatDistribution(1e-7, 1.0, log=True),
    FloatDistribution(-10.2, 10.2, step=0.1),
    FloatDistribution(0.0, 1e-12, step=1e-13),
    FloatDistribution(0.0, 1e6, step=0.25),
    IntDistribution(-3, 10),
    IntDistribution(0, 10, step=2),
    IntDistribution(1, 100, log=True),
    IntDistribution(1, 10**9),
    IntDistribution(1, 10**9, log=True),
    CategoricalDistribution(("a", "b", "c")),
    CategoricalDistribution((None, True, 1.5, "x")),
    CategoricalDistribution((1, 2, 4, 8)),
]


def space_of(distribution: BaseDistribution, name: str = "x", *, named: bool) -> InferredSpace:
    return InferredSpace.of({name: distribution}, {name: None}, named=named)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
@given(share=st.floats(0, 1))
def test_every_configuration_is_a_value_that_optuna_takes_and_comes_back(
    distribution: BaseDistribution, share: float, *, named: bool
) -> None:
    inferred = space_of(distribution, "cpu", named=named)
    parameter = inferred.space.parameters[0]
    params = inferred.params({parameter.name: value_at(parameter, share)})
    assert distribution._contains(distribution.to_internal_repr(params["cpu"]))  # noqa: SLF001
    known = inferred.configuration(params)
    assert known is not None
    again = inferred.params(known)
    assert again["cpu"] == (
        pytest.approx(params["cpu"], rel=1e-6, abs=1e-12)
        if isinstance(params["cpu"], float)
        else params["cpu"]
    )
    assert type(again["cpu"]) is type(params["cpu"])


@pytest.mark.parametrize(
    ("distribution", "middle"),
    [
        (FloatDistribution(0.0, 8.0), 4.0),
        (FloatDistribution(1.0, 100.0), 50.5),
        (FloatDistribution(1.0, 100.0, log=True), 10.0),
        (IntDistribution(0, 8), 4),
    ],
)
def test_a_scale_is_that_of_the_distribution_whatever_its_range(
    distribution: BaseDistribution, middle: float
) -> None:
    inferred = space_of(distribution, named=False)
    known = inferred.configuration({"x": middle})
    assert known is not None
    assert encoded(inferred.space, [known])[0] == pytest.approx([0.5])


def test_only_numbers_of_a_known_name_mean_something() -> None:
    assert named_in({"cpu": FloatDistribution(0.5, 4)})
    assert named_in({"concurrency": CategoricalDistribution((1, 2, 4))})
    for distribution in (
        CategoricalDistribution(("intel", "amd")),
        CategoricalDistribution((4, 2, 1)),
        FloatDistribution(-1, 1),
    ):
        assert not named_in({"cpu": distribution})
    assert not named_in({"learning_rate": FloatDistribution(0.5, 4)})


def trial(params: dict[str, Any], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    kinds: dict[str, BaseDistribution] = {
        "kind": CategoricalDistribution(("a", "b", "c")),
        "layers": IntDistribution(1, 3),
        "one": IntDistribution(1, 1),
    }
    return optuna.trial.create_trial(
        params=params,
        distributions={n: kinds.get(n, FloatDistribution(0, 1)) for n in params},
        value=1.0 if state == TrialState.COMPLETE else None,
        state=state,
    )


def conditions(*trials: FrozenTrial) -> dict[str, InferredCondition | None]:
    return dict(conditions_of(trials, stable_distributions(trials)))


def test_what_all_trials_have_is_always_there_and_a_single_value_is_no_parameter() -> None:
    found = conditions(
        trial({"kind": "a", "x": 0.1, "one": 1}), trial({"kind": "b", "x": 0.2, "one": 1})
    )
    assert found == {"kind": None, "x": None}


def test_a_parameter_whose_range_changes_is_left_out() -> None:
    other = optuna.trial.create_trial(
        params={"x": 3.0}, distributions={"x": FloatDistribution(0, 5)}, value=1.0
    )
    assert stable_distributions([trial({"x": 0.1}), other]) == {}


def test_conditions_are_found_in_chains() -> None:
    found = conditions(
        trial({"kind": "a", "only a": 0.5}),
        trial({"kind": "b", "layers": 1, "x0": 0.5}),
        trial({"kind": "b", "layers": 2, "x0": 0.5, "x1": 0.5}),
        trial({"kind": "c"}),
    )
    assert found["only a"] == InferredCondition("kind", ("a",))
    assert found["layers"] == InferredCondition("kind", ("b",))
    assert found["x0"] == InferredCondition("kind", ("b",))
    assert found["x1"] == InferredCondition("layers", (2,))


def test_what_nothing_explains_is_left_out() -> None:
    found = conditions(trial({"kind": "a", "x": 0.5}), trial({"kind": "a"}))
    assert found == {"kind": None}


def test_only_complete_trials_say_which_parameters_there_are() -> None:
    found = conditions(trial({"kind": "a"}), trial({"kind": "a", "x": 0.5}, TrialState.FAIL))
    assert found == {"kind": None}


def test_a_conditional_space_reads_and_writes_active_parameters_only() -> None:
    trials = [trial({"kind": "a", "x": 0.5}), trial({"kind": "b", "layers": 2})]
    stable = stable_distributions(trials)
    inferred = InferredSpace.of(stable, conditions_of(trials, stable), named=False)
    for known in trials:
        configuration = inferred.configuration(known.params)
        assert configuration is not None
        assert inferred.params(configuration) == pytest.approx(known.params)
    assert inferred.configuration({"kind": "a"}) is None, "x is missing"
