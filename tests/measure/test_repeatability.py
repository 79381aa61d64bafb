import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.measurement import Estimate, Z
from tuner.measure.repeatability import (
    FEWEST_DEGREES,
    Repeatability,
    RepeatedBursts,
    repeatability,
    widened,
)

Groups = list[list[Estimate]]


def bursts(rng: np.random.Generator, truths: list[float], between: float, within: float) -> Groups:
    """Bursts of some configurations, six each, with sd `between` and `within` them (shares)."""
    found = []
    for truth in truths:
        at = truth * np.exp(rng.normal(0, between, 6) + rng.normal(0, within, 6))
        found.append([known(float(value), within) for value in at])
    return found


def known(value: float, error: float) -> Estimate:
    half = Z * error * value
    return Estimate(value, value - half, value + half)


estimates = st.builds(known, st.floats(1e-3, 1e6), st.floats(0, 0.4))


def test_without_enough_repeats_nothing_is_said() -> None:
    once = [[known(2.0, 0.1)], [known(5.0, 0.1)], [known(9.0, 0.1)]]
    assert repeatability([]) is None
    assert repeatability(once) is None
    pairs = [[known(2.0, 0.1), known(3.0, 0.1)]] * FEWEST_DEGREES
    assert repeatability([*once, *pairs[1:]]) is None
    enough = repeatability([*once, *pairs])
    assert enough is not None
    assert enough.degrees == FEWEST_DEGREES


def test_bursts_that_are_the_same_do_not_differ() -> None:
    found = repeatability([[known(4.0, 0.0)] * 5])
    assert found == Repeatability(0.0, 4)


def test_bursts_that_differ_by_their_own_error_only_do_not_differ_between() -> None:
    rng = np.random.default_rng(5)
    found = repeatability(bursts(rng, [2.0, 9.0, 70.0] * 10, between=0.0, within=0.05))
    assert found is not None
    assert found.relative_sd < 0.015


@pytest.mark.parametrize("within", [0.0, 0.05, 0.1])
def test_what_differs_between_bursts_is_found(within: float) -> None:
    rng = np.random.default_rng(6)
    found = repeatability(bursts(rng, [2.0, 9.0, 70.0] * 10, between=0.1, within=within))
    assert found is not None
    assert found.relative_sd == pytest.approx(0.1, rel=0.15)
    assert found.degrees == 150


@given(st.lists(st.lists(estimates, max_size=5), max_size=6), st.floats(0.01, 100))
def test_the_unit_makes_no_difference(groups: Groups, unit: float) -> None:
    def converted(e: Estimate) -> Estimate:
        assert e.low is not None
        assert e.high is not None
        return Estimate(unit * e.value, unit * e.low, unit * e.high)

    one = repeatability(groups)
    other = repeatability([[converted(e) for e in group] for group in groups])
    if one is None or other is None:
        assert one is other is None
        return
    assert other.degrees == one.degrees == sum(len(g) - 1 for g in groups if len(g) > 1)
    assert other.relative_sd == pytest.approx(one.relative_sd, abs=1e-5)
    assert one.relative_sd >= 0


@given(estimates, st.floats(0, 0.5), st.integers(FEWEST_DEGREES, 100))
def test_a_widened_interval_holds_the_bursts_own(
    estimate: Estimate, sd: float, degrees: int
) -> None:
    found = widened(estimate, Repeatability(sd, degrees))
    assert found.value == estimate.value
    assert found.low is not None
    assert found.high is not None
    assert estimate.low is not None
    assert estimate.high is not None
    slack = 1e-9 * estimate.value
    assert 0 <= found.low <= estimate.low + slack
    assert found.high >= estimate.high - slack
    fewer = widened(estimate, Repeatability(sd, 2))
    assert fewer.high is not None
    assert fewer.high >= found.high - slack, "fewer repeats say less"


def test_where_nothing_is_known_of_repeats_the_interval_stays() -> None:
    estimate = known(3.0, 0.1)
    assert widened(estimate, None) == estimate
    assert widened(Estimate(0.0), Repeatability(0.1, 9)) == Estimate(0.0)


def test_a_burst_without_an_interval_gets_that_of_the_repeats() -> None:
    found = widened(Estimate(100.0), Repeatability(0.1, 10**9))
    assert (found.low, found.high) == pytest.approx((100 - 19.6, 100 + 19.6), abs=0.01)


@pytest.mark.parametrize(("within", "own"), [(0.025, 0.55), (0.1, 0.90)])
def test_widened_intervals_hold_the_truth_where_the_bursts_own_do_not(
    within: float, own: float
) -> None:
    """Studies of five configurations, six bursts each, that differ by 10 % between bursts."""
    rng = np.random.default_rng(8)
    truths = [1.0, 3.0, 10.0, 30.0, 100.0]
    hits = own_hits = all_of = 0
    for _ in range(80):
        groups = bursts(rng, truths, between=0.1, within=within)
        by = repeatability(groups)
        for truth, group in zip(truths, groups, strict=True):
            for estimate in group:
                wide = widened(estimate, by)
                assert estimate.low is not None
                assert estimate.high is not None
                assert wide.low is not None
                assert wide.high is not None
                own_hits += estimate.low <= truth <= estimate.high
                hits += wide.low <= truth <= wide.high
                all_of += 1
    assert 0.93 <= hits / all_of <= 0.98
    assert own_hits / all_of < own


def test_a_value_of_zero_is_no_repeat() -> None:
    """Logarithms have no place for it, such as for the CPU of replicas that did nothing."""
    pairs: Groups = [[Estimate(0.0), known(2.0, 0.1)]] * 9
    assert repeatability(pairs) is None
    assert math.isfinite(widened(Estimate(0.0, 0.0, 0.0), Repeatability(0.1, 9)).value)


def test_the_others_of_a_configuration_are_as_if_it_had_not_been_measured() -> None:
    rng = np.random.default_rng(5)
    groups = [g[: 1 + i % 4] for i, g in enumerate(bursts(rng, [2.0] * 9, 0.1, 0.05))]
    every = RepeatedBursts.of(groups)
    assert every.repeatability() == repeatability(groups)
    for number in range(len(groups)):
        others = [g for i, g in enumerate(groups) if i != number]
        assert every.without(number).repeatability() == repeatability(others)


def test_of_scenarios_that_differ_each_has_an_interval_that_holds_its_truths() -> None:
    """A limit that is always reached, and one client on a lossy network."""
    rng = np.random.default_rng(9)
    hits, alike_hits = np.zeros(2), np.zeros(2)
    for _ in range(60):
        groups = [
            *bursts(rng, [1.0, 3.0, 10.0, 30.0], between=0.01, within=0.005),
            *bursts(rng, [2.0, 6.0, 20.0, 60.0], between=0.15, within=0.005),
        ]
        repeated = RepeatedBursts.of(groups)
        scenario = np.array([0] * 4 + [1] * 4)[repeated.groups]
        each, alike = repeated.repeatabilities(scenario), repeated.repeatability()
        for number, (truth, group) in enumerate(
            zip([1.0, 3.0, 10.0, 30.0, 2.0, 6.0, 20.0, 60.0], groups, strict=True)
        ):
            for estimate in group:
                of = number // 4
                hits[of] += holds(widened(estimate, each[of]), truth)
                alike_hits[of] += holds(widened(estimate, alike), truth)
    assert (hits > 0.93 * 60 * 24).all(), hits
    assert alike_hits[1] < 0.9 * 60 * 24, "too narrow"
    assert alike is not None
    assert each[0].relative_sd < 0.5 * alike.relative_sd, "what is steady is known to be"


def test_scenarios_without_repeats_differ_as_the_study_does() -> None:
    none = np.array([], dtype=np.intp)
    assert RepeatedBursts.of([[known(2.0, 0.1)]]).repeatabilities(none) == {}
    rng = np.random.default_rng(5)
    repeated = RepeatedBursts.of(bursts(rng, [2.0, 9.0], 0.1, 0.01))
    each = repeated.repeatabilities(np.zeros(12, dtype=np.intp))
    usual = repeated.repeatability()
    assert usual is not None
    assert each[0].relative_sd == pytest.approx(usual.relative_sd, rel=0.02)


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high
