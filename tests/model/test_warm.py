from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.served_space import (
    CANDIDATES,
    DIRECTIONS,
    HOST,
    METRICS,
    bounds,
    bursts,
    logs,
    some_rows,
    upside_down,
)
from tuner.model.gp import LogNormal
from tuner.model.observations import Observation
from tuner.model.surrogate import Surrogate
from tuner.model.warm import FADES, Warm, faded, warm_from


def fit(seen: list[Observation], warm: Warm | None = None) -> Surrogate:
    return Surrogate.fit(CANDIDATES, METRICS, DIRECTIONS, seen, host_cpus=HOST, warm=warm)


def error(surrogate: Surrogate) -> float:
    return float(np.median(np.abs(surrogate.posterior().mean[:, 0] - logs(bounds)[:, 0])))


OTHER = warm_from(fit(bursts(some_rows(60, seed=9), seed=9)))


def test_it_is_kept_as_json() -> None:
    assert Warm.from_json(json.loads(json.dumps(OTHER.to_json()))) == OTHER


def test_it_has_what_was_learned() -> None:
    value, width = OTHER.queue["service_s"]
    assert value == pytest.approx(0.005, rel=0.3)
    assert width < 0.5
    assert set(OTHER.length_scales) == set(METRICS)
    assert all(noise > 0 for noise in OTHER.noise.values())


def test_a_study_of_the_same_host_begins_better() -> None:
    cold, warm = [], []
    for seed in range(6):
        seen = bursts(some_rows(3, seed), seed)
        cold.append(error(fit(seen)))
        warm.append(error(fit(seen, OTHER)))
    assert np.median(warm) < np.median(cold)


def test_a_study_of_another_kind_is_not_much_worse_for_it() -> None:
    wrong = warm_from(fit(bursts(some_rows(60, seed=9), truth=upside_down)))
    for count, worse in ((10, 1.5), (60, 1.15)):
        seen = bursts(some_rows(count))
        assert error(fit(seen, wrong)) < worse * error(fit(seen)) + 0.01


def test_nothing_learned_is_nothing_told() -> None:
    none = warm_from(fit([]))
    assert none.queue == {}
    seen = bursts(some_rows(10))
    np.testing.assert_allclose(
        fit(seen, none).posterior().mean, fit(seen).posterior().mean, atol=0.1
    )


POSITIVE = st.floats(0.01, 100)
WIDTH = st.floats(0.05, 2)


@given(POSITIVE, WIDTH, POSITIVE, WIDTH, st.integers(0, 5000))
def test_it_fades(m1: float, w1: float, m2: float, w2: float, seen: int) -> None:
    warm, usual = LogNormal(m1, w1), LogNormal(m2, w2)
    found = faded(warm, usual, seen)
    low, high = sorted((m1, m2))
    assert low * 0.999 <= found.median <= high * 1.001
    assert found.width <= w2 + 1e-9
    assert faded(warm, usual, 0).median == pytest.approx(m1)
    middle = faded(warm, usual, FADES).median
    assert np.log(middle) == pytest.approx((np.log(m1) + np.log(m2)) / 2, abs=1e-9)
