from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.capacity import (
    LEAST_RATE,
    MOST_STEPS,
    PRECISION,
    UNBOUNDED,
    CapacitySearch,
    CapacityStep,
    capacity_constraints,
    judged_step,
)
from tuner.measure.measurement import Estimate, Measurement
from tuner.spec.study import Constraint

P95 = Constraint("p95_ms", "<=", 15.0)

rates = st.floats(LEAST_RATE, 50_000)


def searched(answers: Callable[[float], CapacityStep], search: CapacitySearch) -> CapacitySearch:
    """The search to its end, with what each rate gives."""
    while (rate := search.next_rate()) is not None:
        search = search.after(answers(rate))
    return search


def host(holds: float, saturated: float) -> Callable[[float], CapacityStep]:
    """A deployment that holds its constraints up to one rate and answers at most another."""

    def answers(rate: float) -> CapacityStep:
        kept = rate <= saturated
        return CapacityStep(rate, kept and rate <= holds, True, None if kept else saturated)

    return answers


@given(truth=rates, more=st.floats(1.0, 3.0), first=rates)
def test_the_capacity_is_found_whatever_it_is(truth: float, more: float, first: float) -> None:
    found = searched(host(truth, truth * more), CapacitySearch(first))
    assert len(found.steps) <= MOST_STEPS
    estimate = found.estimate
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.value <= truth <= estimate.high
    if len(found.steps) < MOST_STEPS:
        assert estimate.high <= (1 + PRECISION) * estimate.value * (1 + 1e-12)


@given(truth=rates, first=rates)
def test_no_rate_is_tried_that_is_known(truth: float, first: float) -> None:
    search = CapacitySearch(first)
    while (rate := search.next_rate()) is not None:
        held, cliff = search.held, search.cliff
        assert rate > (held.rate if held else 0.0)
        assert rate < (cliff.rate if cliff else math.inf)
        search = search.after(host(truth, 1.5 * truth)(rate))


def test_what_was_answered_at_a_cliff_saves_steps() -> None:
    blind = searched(lambda rate: CapacityStep(rate, rate <= 300, False), CapacitySearch(5000.0))
    seeing = searched(host(300, 310), CapacitySearch(5000.0))
    assert len(seeing.steps) < len(blind.steps)
    assert len(seeing.steps) <= 4


@given(truth=rates, most=rates, first=rates)
def test_the_load_engine_is_not_asked_for_more_than_it_can(
    truth: float, most: float, first: float
) -> None:
    found = searched(host(truth, truth), CapacitySearch(first, most))
    assert all(step.rate <= most for step in found.steps)
    if truth >= most:
        assert found.estimate == Estimate(most)


def test_what_holds_at_no_rate_has_no_capacity() -> None:
    found = searched(lambda rate: CapacityStep(rate, False, True), CapacitySearch())
    assert found.estimate == Estimate(0.0, 0.0, 25.0)
    assert found.held is None
    doubtful = searched(lambda rate: CapacityStep(rate, False, False), CapacitySearch())
    assert doubtful.estimate == Estimate(0.0, 0.0, 100.0)
    assert doubtful.steps[-1].rate == LEAST_RATE


def test_steps_in_doubt_widen_the_interval() -> None:
    def answers(rate: float) -> CapacityStep:
        return CapacityStep(rate, rate <= 200, not 150 < rate < 260)

    estimate = searched(answers, CapacitySearch()).estimate
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= 150
    assert estimate.high >= 260
    assert 180 < estimate.value <= 200


def measured(p95: Estimate, throughput: Estimate, errors: float = 0.0) -> Measurement:
    metrics = {"p95_ms": p95, "throughput_rps": throughput, "error_rate": Estimate(errors)}
    return Measurement(metrics, (), 500, 10, 2.0, "precise", {})


KEPT = Estimate(99.0, 97.0, 101.0)


@pytest.mark.parametrize(
    ("p95", "throughput", "expected"),
    [
        (Estimate(9.0, 8.0, 10.0), KEPT, CapacityStep(100, True, True)),
        (Estimate(14.0, 13.0, 16.0), KEPT, CapacityStep(100, True, False)),
        (Estimate(16.0, 14.0, 18.0), KEPT, CapacityStep(100, False, False, None, (str(P95),))),
        (Estimate(30.0, 28.0, 32.0), KEPT, CapacityStep(100, False, True, None, (str(P95),))),
        (
            Estimate(9.0, 8.0, 10.0),
            Estimate(60.0, 58.0, 62.0),
            CapacityStep(100, False, True, 60.0),
        ),
    ],
)
def test_a_step_is_judged_by_its_values_and_sure_by_its_intervals(
    p95: Estimate, throughput: Estimate, expected: CapacityStep
) -> None:
    assert judged_step(100, measured(p95, throughput), (P95,)) == expected


def test_a_metric_that_was_not_measured_does_not_hold() -> None:
    nothing = Measurement({}, (), 0, 0, 2.0, "all failed", {})
    assert judged_step(100, nothing, (P95,)) == CapacityStep(100, False, True, None, (str(P95),))


def test_a_bound_on_the_capacity_itself_is_none_of_its_constraints() -> None:
    floor = Constraint("capacity_rps", ">=", 200.0)
    assert capacity_constraints((floor, P95)) == (P95,)
    assert capacity_constraints((floor,)) == UNBOUNDED
