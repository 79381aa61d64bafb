"""Which scenarios' bursts differ by more than those of the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.arrays import Floats, Indices
from tuner.measure.repeatability import LEAST, MOST
from tuner.model.unequal_noise import noise_factors


def bursts(sds: list[float], configurations: int = 6) -> tuple[Floats, Indices, Indices]:
    """Values, rows and scenarios of configurations with three bursts, which differ so much."""
    rng = np.random.default_rng(0)
    scenario = np.repeat(np.arange(len(sds)), 3 * configurations)
    rows = np.repeat(np.arange(len(sds) * configurations), 3)
    values = rng.normal(rows % 5, np.array(sds)[scenario])
    return values, rows, scenario


def test_a_scenario_whose_bursts_differ_more_has_noisier_ones() -> None:
    values, rows, scenario = bursts([0.01, 0.1])
    factors = noise_factors(values, np.zeros(len(values)), rows, scenario)
    steady, noisy = factors[0], factors[-1]
    assert steady < 0.7
    assert noisy > 1.2
    assert set(factors[scenario == 0]) == {steady}


def test_alike_they_have_nearly_the_same() -> None:
    values, rows, scenario = bursts([0.05, 0.05, 0.05], configurations=20)
    factors = noise_factors(values, np.zeros(len(values)), rows, scenario)
    np.testing.assert_allclose(factors, 1.0, atol=0.2)


def test_what_is_uncertain_of_each_burst_is_no_noise_between_them() -> None:
    values, rows, scenario = bursts([0.05, 0.2], configurations=30)
    known = np.where(scenario == 1, 0.2**2 - 0.05**2, 0.0)
    factors = noise_factors(values, known, rows, scenario)
    np.testing.assert_allclose(factors, 1.0, atol=0.2)
    assert noise_factors(values, 0 * known, rows, scenario)[-1] > factors[-1]


def test_few_repeats_change_little_and_none_changes_nothing() -> None:
    values = np.array([0.0, 0.4, 1.0, 1.01, 2.0, 2.01, 3.0, 4.0])
    rows = np.array([0, 0, 1, 1, 2, 2, 3, 4])
    scenario = np.array([0, 0, 1, 1, 1, 1, 2, 2])
    factors = noise_factors(values, np.zeros(8), rows, scenario)
    assert 1.0 < factors[0] < 1.4
    assert 0.7 < factors[2] < 1.0
    assert factors[6:] == pytest.approx(1.0)
    assert noise_factors(values, np.zeros(8), np.arange(8), scenario) == pytest.approx(np.ones(8))


@given(st.integers(0, 1000), st.integers(1, 4), st.floats(0, 0.5), st.floats(0.01, 100))
def test_they_are_bounded_and_do_not_depend_on_order_or_unit(
    seed: int, scenarios: int, known: float, unit: float
) -> None:
    rng = np.random.default_rng(seed)
    values, rows = rng.normal(size=24), rng.integers(0, 9, 24)
    scenario, variance = rows % scenarios, np.full(24, known**2)
    factors = noise_factors(values, variance, rows, scenario)
    assert ((factors >= LEAST) & (factors <= MOST)).all()
    order = rng.permutation(24)
    again = noise_factors(values[order], variance[order], rows[order], scenario[order])
    np.testing.assert_allclose(again, factors[order])
    scaled = noise_factors(unit * values, unit**2 * variance, rows, scenario)
    np.testing.assert_allclose(scaled, factors)
