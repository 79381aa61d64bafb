"""The scale of an objective: values of any kind become numbers that the model can learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tuner.arrays import Floats
from tuner.model.scales import SPREAD, Linked, Warp

NUMBERS = st.integers(-1000, 1000).map(lambda n: n / 8)
SAMPLES = st.lists(NUMBERS, min_size=2, max_size=30).map(lambda v: np.array(v, dtype=np.float64))


@given(values=SAMPLES, sign=st.sampled_from([1.0, -1.0]))
def test_the_order_stays_and_the_spread_is_the_same_for_all(values: Floats, sign: float) -> None:
    assume(np.ptp(values) > 0)
    scaled = Warp.of(values, sign).scaled(values, sign)
    order = np.argsort(sign * values, kind="stable")
    steps, scaled_steps = np.diff((sign * values)[order]), np.diff(scaled[order])
    assert (scaled_steps[steps > 0] > 0).all()
    assert scaled_steps[steps == 0] == pytest.approx(0)
    assert scaled.std() == pytest.approx(SPREAD)
    assert scaled.mean() == pytest.approx(0, abs=1e-9)


@given(values=SAMPLES, factor=st.sampled_from([1e-9, 3.0, 1e12]), offset=NUMBERS)
def test_unit_and_offset_do_not_matter(values: Floats, factor: float, offset: float) -> None:
    assume(np.ptp(values) > 0)
    other = factor * (values + offset)
    scaled = Warp.of(values, 1.0).scaled(values, 1.0)
    assert Warp.of(other, 1.0).scaled(other, 1.0) == pytest.approx(scaled, abs=1e-3)


@given(values=SAMPLES)
def test_to_maximise_is_to_minimise_the_negative(values: Floats) -> None:
    up = Warp.of(values, -1.0).scaled(values, -1.0)
    assert up == pytest.approx(Warp.of(-values, 1.0).scaled(-values, 1.0))


@given(values=SAMPLES, good=st.floats(0.0, 50.0), step=st.floats(0.01, 1.0))
def test_good_values_are_never_pressed_together_more_than_bad_ones(
    values: Floats, good: float, step: float
) -> None:
    assume(np.ptp(values) > 0)
    warp = Warp.of(values, 1.0)
    pairs = np.array([-good, -good - step, good, good + step]) * warp.width + warp.centre
    better, best, worse, worst = warp.scaled(pairs, 1.0)
    assert better - best >= (worst - worse) * (1 - 1e-6)


def test_a_few_terrible_values_do_not_hide_the_differences_between_good_ones() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 1e4, 1e5])
    scaled = Warp.of(values, 1.0).scaled(values, 1.0)
    straight = SPREAD * (values - values.mean()) / values.std()
    assert scaled[4] - scaled[0] > 1000 * (straight[4] - straight[0])


def test_values_like_a_normal_sample_stay_on_a_straight_line() -> None:
    values = np.random.default_rng(1).normal(5, 3, 200)
    scaled = Warp.of(values, 1.0).scaled(values, 1.0)
    assert np.corrcoef(values, scaled)[0, 1] > 0.995


@pytest.mark.parametrize("values", [[], [3.0], [7.0] * 5, [0.0, 0.0, 0.0, 1.0]])
def test_few_or_equal_values_have_a_scale(values: list[float]) -> None:
    scaled = Warp.of(np.array(values), 1.0).scaled(np.array([*values, 100.0, -100.0]), 1.0)
    assert np.isfinite(scaled).all()


def test_values_beyond_all_that_was_seen_are_finite() -> None:
    warp = Warp.of(np.array([1.0, 2.0, 4.0, 1e3]), 1.0)
    assert np.isfinite(warp.scaled(np.array([-1e100, 1e100]), 1.0)).all()


def test_a_serving_metric_is_its_logarithm() -> None:
    values = np.array([1.0, 10.0])
    assert Linked().scaled(values, -1.0) == pytest.approx(-np.log(values))
