from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.conditional import spaces
from tests.results.known_truth import SERVING, sample
from tuner.model.observations import Observation
from tuner.results.factorial import MOST_ROWS, Factorial, levels
from tuner.results.importance import (
    best_shares,
    importances,
    interaction_shares,
    interactions,
    variance_shares,
)
from tuner.spec.metrics import Direction
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace


def by_name(found: tuple[Any, ...]) -> dict[Any, Any]:
    return {getattr(i, "parameter", None) or i.parameters: i for i in found}


def test_a_product_of_effects_has_their_variances_and_no_interactions() -> None:
    def art(c: Mapping[str, Any]) -> float:
        return float(c["replicas"] ** -0.5 * math.exp(0.3 * c["loss"]))

    known = sample(SERVING, {"art_ms": art})
    replicas = np.var(0.5 * np.log(np.arange(1, 7)))
    loss = np.var(0.3 * np.array([0, 1, 2, 5]))
    found = importances(known, "art_ms")
    assert [i.parameter for i in found[:2]] == ["loss", "replicas"]
    shares = by_name(found)
    for name, variance in (("replicas", replicas), ("loss", loss), ("memory", 0)):
        expected = pytest.approx(variance / (replicas + loss), abs=0.002)
        assert shares[name].first.value == expected
        assert shares[name].total.value == expected
        assert shares[name].first.low <= shares[name].first.value <= shares[name].first.high
    assert interactions(known, "art_ms")[0].share.value < 0.001


def test_what_two_parameters_only_do_together_is_an_interaction() -> None:
    def art(c: Mapping[str, Any]) -> float:
        return math.exp((c["cpu"] - 7 / 6) * (c["replicas"] - 3.5))

    known = sample(SERVING, {"art_ms": art})
    best, second = interactions(known, "art_ms")[:2]
    assert best.parameters == ("cpu", "replicas")
    assert best.share.value == pytest.approx(1, abs=0.01)
    assert second.share.value < 0.01
    shares = by_name(importances(known, "art_ms"))
    assert shares["cpu"].first.value < 0.01
    assert shares["cpu"].total.value == pytest.approx(1, abs=0.01)


@given(arrays(np.float64, (2, 3, 4), elements=st.floats(-3, 3)))
def test_shares_of_two_parameters_and_their_interaction_add_up(table: np.ndarray) -> None:
    """With nothing else in the space: Sobol's decomposition."""
    if (table.var(axis=(1, 2)) < 1e-6).any():
        return
    first, total = variance_shares(table, 1.0)
    other, _ = variance_shares(table.swapaxes(1, 2), 1.0)
    both = interaction_shares(table[..., None], 1.0)
    np.testing.assert_allclose(first + other + both, 1, atol=1e-9)
    np.testing.assert_allclose(total, first + both, atol=1e-9)


def test_a_sample_of_settings_does_not_turn_interactions_into_effects() -> None:
    rng = np.random.default_rng(1)
    # A main effect with a tenth of the variance; all the rest is interaction.
    tables = 0.5 * np.array([-1, 0, 1])[:, None] + rng.standard_normal((500, 3, 8)) * 1.2
    plain, _ = variance_shares(tables, 1.0)
    corrected, _ = variance_shares(tables, 0.0)
    true = (0.25 * 2 / 3) / (0.25 * 2 / 3 + 1.44)
    assert plain.mean() > true + 0.05
    assert corrected.mean() == pytest.approx(true, abs=0.02)


LARGE = SearchSpace(
    (
        *(Parameter(f"p{i}", "int", "decision", 0, low=0, high=20, flag="p") for i in range(7)),
        Parameter("x", "float", "decision", 1.0, low=0.1, high=10.0, log=True, flag="x"),
    )
)


def test_large_and_continuous_spaces_are_sampled() -> None:
    def art(c: Mapping[str, Any]) -> float:
        return math.exp(c["p0"] / 10 + math.log(c["x"]) * (c["p1"] - 10) / 20)

    known = sample(LARGE, {"art_ms": art}, focus=("x", "p0", "p1"))
    assert len(known.factorial.configurations) <= MOST_ROWS + 500
    main = 0.01 * np.var(np.linspace(0, 20, 8).round())
    both = np.var(np.linspace(-math.log(10), math.log(10), 8)) * np.var(
        (np.linspace(0, 20, 8).round() - 10) / 20
    )
    shares = by_name(importances(known, "art_ms"))
    assert shares["p0"].first.value == pytest.approx(main / (main + both), abs=0.1)
    assert shares["x"].total.value == pytest.approx(both / (main + both), abs=0.1)
    assert shares["p5"].total.value < 0.01
    assert interactions(known, "art_ms")[0].parameters == ("p1", "x")


def test_a_conditional_parameter_counts_where_it_is_active() -> None:
    space = SearchSpace(
        (
            Parameter("batching", "categorical", "decision", False, choices=(False, True)),
            Parameter(
                "size", "int", "decision", 1, choices=(1, 2, 4), flag="s",
                when=Condition("batching", "==", (True,)),
            ),
        )
    )  # fmt: skip
    known = sample(space, {"art_ms": lambda c: c.get("size", 2)})
    shares = by_name(importances(known, "art_ms"))
    # log2 of size is -1, 0, 1 around what there is without batching: half its effect is main.
    assert shares["size"].first.value == pytest.approx(0.5, abs=0.01)
    assert shares["size"].total.value == pytest.approx(1.0, abs=0.01)
    assert shares["batching"].first.value < 0.01
    assert interactions(known, "art_ms")[0].share.value == pytest.approx(0.5, abs=0.01)


def test_values_at_which_nothing_serves_do_not_count() -> None:
    known = sample(
        SERVING,
        {"art_ms": lambda c: 1000.0 if c["memory"] == 48 else 1.0 + c["replicas"]},
        feasible=lambda c: 0.01 if c["memory"] == 48 else 0.99,
    )
    found = importances(known, "art_ms")
    assert found[0].parameter == "replicas"
    assert found[0].first.value > 0.98


@settings(max_examples=50, deadline=None)
@given(spaces())
def test_a_factorial_of_a_small_space_has_every_configuration_once(space: SearchSpace) -> None:
    factorial = Factorial.of(space)
    assert set(factorial.configurations) == set(space.grid())
    for crossing in factorial.mains.values():
        assert set(crossing.rows.ravel()) == set(range(len(factorial.configurations)))
        assert crossing.share == 1


@given(st.integers(1, 30), st.integers(2, 10), st.booleans())
def test_levels_run_from_end_to_end(count: int, most: int, log: bool) -> None:
    parameter = Parameter("p", "int", "decision", 1, low=1, high=count, log=log)
    found = levels(parameter, most)
    assert len(found) == min(count, most) or (log and len(found) < most)
    assert (found[0], found[-1]) == (1, count)
    assert list(found) == sorted(set(found))


BOTH: tuple[Direction, ...] = ("minimize", "maximize")


def observed(count: int, *, infeasible: bool = False) -> list[Observation]:
    """ART is decided by cpu, throughput by replicas; memory and the rest do nothing."""
    rng = np.random.default_rng(2)
    grid = list(SERVING.grid())
    picked = [grid[i] for i in rng.choice(len(grid), count, replace=False)]
    return [
        Observation(
            i,
            c,
            (
                10 / float(c["cpu"]) + float(rng.random()),
                float(c["replicas"]) + float(rng.random()),
            ),
            {"serves": 1.0 if infeasible else -1.0},
        )
        for i, c in enumerate(picked)
    ]


def test_the_best_trials_share_what_decides() -> None:
    art = best_shares(SERVING, observed(200), BOTH, 0)
    throughput = best_shares(SERVING, observed(200), BOTH, 1)
    assert art is not None
    assert throughput is not None
    assert max(art, key=lambda n: art[n]) == "cpu"
    assert max(throughput, key=lambda n: throughput[n]) == "replicas"
    assert sum(art.values()) == pytest.approx(1)
    assert set(art) == {p.name for p in SERVING}


def test_few_or_infeasible_trials_say_nothing_of_the_best() -> None:
    assert best_shares(SERVING, observed(19), BOTH, 0) is None
    assert best_shares(SERVING, observed(80, infeasible=True), BOTH, 0) is None


def test_conditional_trials_have_an_importance_too() -> None:
    space = SearchSpace(
        (
            Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0)),
            Parameter("size", "int", "decision", 1, choices=(1, 2), flag="s",
                      when=Condition("cpu", "==", (1.0,))),
        )
    )  # fmt: skip
    fast = Configuration.of({"cpu": 1.0, "size": 2})
    slow = [Configuration.of({"cpu": 0.5}), Configuration.of({"cpu": 1.0, "size": 1})]
    trials = [
        Observation(i, fast if i % 4 == 0 else slow[i % 2], (1.0 + (i % 4 > 0) * 5 + i / 100,))
        for i in range(40)
    ]
    found = best_shares(space, trials, ("minimize",), 0)
    assert found is not None
    assert found["size"] > 0.1
