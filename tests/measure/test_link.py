"""The scales on which metrics are averaged, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.link import (
    LOGARITHM,
    ArcSine,
    LogOfMore,
    interval_around,
    link_of,
    scaled_values,
    values_in_unit,
)
from tuner.measure.measurement import Estimate
from tuner.measure.statistics import proportion
from tuner.spec.metrics import METRICS

METRIC = st.sampled_from(list(METRICS))


def in_range(metric: str, number: float) -> float:
    return number * (METRICS[metric].whole or 1000.0)


@given(METRIC, st.floats(0, 1), st.floats(0, 1))
def test_a_link_is_monotone_and_has_an_inverse(metric: str, a: float, b: float) -> None:
    link, low, high = link_of(metric), *sorted((in_range(metric, a), in_range(metric, b)))
    scaled = link.scaled([low, high])
    assert scaled[0] <= scaled[1]
    back = link.in_unit(scaled)
    if link == LOGARITHM and low < 1e-5:  # 0 and next to nothing are the same there
        return
    assert back == pytest.approx([low, high], rel=1e-9, abs=1e-9)


def test_what_may_be_zero_is_known_by_its_metric() -> None:
    assert link_of("error_rate") == ArcSine(1)
    assert link_of("throttled_percent") == ArcSine(100)
    assert link_of("major_faults_per_s") == LogOfMore()
    assert link_of("art_ms") == link_of("of another study") == LOGARITHM


@given(st.integers(20, 100_000), st.data())
def test_a_share_of_n_is_known_to_one_over_the_root_of_n(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    error = link_of("error_rate").standard_error(proportion(count, n))
    assert error == pytest.approx(1 / math.sqrt(n), rel=0.25)


@given(METRIC, st.floats(0, 1), st.floats(0, 3))
def test_an_interval_holds_its_value_and_possible_values_only(
    metric: str, number: float, half: float
) -> None:
    value = in_range(metric, number)
    found = interval_around(metric, value, half)
    assert found.value == value
    if found.low is None or found.high is None:
        assert value == 0
        return
    assert 0 <= found.low <= value <= found.high
    if whole := METRICS[metric].whole:
        assert found.high <= whole * (1 + 1e-9)


def test_none_of_many_is_zero_and_may_be_a_little() -> None:
    n = 1000
    found = interval_around("error_rate", 0.0, 1.96 / math.sqrt(n))
    assert found.value == found.low == 0
    assert found.high == pytest.approx(0.96 / n, rel=0.01)
    assert interval_around("art_ms", 0.0, 0.1) == Estimate(0.0)


def test_several_metrics_at_once() -> None:
    metrics = ("art_ms", "error_rate")
    values = np.array([[2.0, 0.0], [4.0, 0.5]])
    scaled = scaled_values(values, metrics)
    assert scaled[:, 0] == pytest.approx(np.log(values[:, 0]))
    assert scaled[:, 1] == pytest.approx([0, math.pi / 2])
    assert values_in_unit(scaled, metrics) == pytest.approx(values)
