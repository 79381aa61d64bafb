from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.model.served_space import (
    CANDIDATES,
    DIRECTIONS,
    HOST,
    METRICS,
    bounds,
    bursts,
    logs,
    some_rows,
)
from tuner.model.constraint_models import ConstraintModel
from tuner.model.observations import Observation
from tuner.model.surrogate import Surrogate

TRUTH = np.exp(logs(bounds))
ROWS = range(len(CANDIDATES))

Violation = Callable[[Observation], float]


def art(observation: Observation) -> float:
    assert observation.values is not None
    return observation.values[0]


def fit(
    text: str, violation: Violation, metrics: tuple[str, ...] = METRICS, count: int = 60
) -> tuple[Surrogate, ConstraintModel]:
    seen = [replace(o, violations={text: violation(o)}) for o in bursts(some_rows(count))]
    surrogate = Surrogate.fit(CANDIDATES, metrics, DIRECTIONS, seen, host_cpus=HOST)
    (constraint,) = surrogate.constraints
    assert constraint.text == text
    return surrogate, constraint


@pytest.mark.parametrize("metrics", [METRICS, ("reserved_cores", "reserved_mib")])
def test_a_response_time_is_told_in_ms_whether_it_is_an_objective_or_not(
    metrics: tuple[str, ...],
) -> None:
    surrogate, constraint = fit("art_ms <= 20", lambda o: art(o) - 20, metrics)
    assert surrogate.queue is not None
    expected = [constraint.value(row) for row in ROWS]
    values = np.array([e.value for e in expected if e])
    assert np.median(np.abs(np.log(values / TRUTH[:, 0]))) < 0.08
    assert all(e and e.low is not None and e.high and e.low < e.value < e.high for e in expected)
    holds = TRUTH[:, 0] <= 20
    clear = np.abs(np.log(TRUTH[:, 0] / 20)) > 0.15
    assert ((constraint.probability > 0.5) == holds)[clear].mean() > 0.97


def test_a_bound_from_below_and_a_share_that_may_be_zero_have_their_values_back() -> None:
    _, floor = fit("throughput_rps >= 50", lambda o: 50 - 1000 / art(o))
    value = floor.value(0)
    assert value is not None
    assert value.value == pytest.approx(1000 / TRUTH[0, 0], rel=0.2)
    _, share = fit("error_rate <= 0.01", lambda o: 0.05 * (o.configuration["loss"] == 4.0) - 0.01)
    lossy = [float(c["loss"]) == 4.0 for c in CANDIDATES.configurations]
    shares = [e.value for row in ROWS if (e := share.value(row))]
    assert np.median(np.array(shares)[lossy]) == pytest.approx(0.05, rel=0.1)
    assert np.median(np.array(shares)[~np.array(lossy)]) == pytest.approx(0, abs=0.001)


def test_what_is_exact_holds_or_does_not() -> None:
    def cores(o: Observation) -> float:
        return float(o.configuration["cpu"]) * int(o.configuration["replicas"])

    surrogate, constraint = fit("reserved_cores <= 1", lambda o: cores(o) - 1)
    reserved = np.array([float(c["cpu"]) * int(c["replicas"]) for c in CANDIDATES.configurations])
    assert (constraint.probability == (reserved <= 1)).all()
    value = constraint.value(0)
    assert value is not None
    assert value.value == value.low == value.high == reserved[0]
    assert constraint.holds_when_deployed(int(np.argmin(reserved))) == 1.0
    assert (surrogate.feasible <= constraint.probability).all()


def test_one_deployment_is_less_sure_than_the_average_of_many() -> None:
    _, constraint = fit("art_ms <= 20", lambda o: art(o) - 20)
    average = constraint.probability
    one = np.array([constraint.holds_when_deployed(row) for row in ROWS])
    likely = average > 0.5
    assert (one[likely] <= average[likely] + 1e-12).all()
    assert (one[~likely] >= average[~likely] - 1e-12).all()


def test_words_of_a_constraint_that_is_no_metric_have_no_value() -> None:
    _, constraint = fit("fast", lambda o: 0.75 - float(o.configuration["cpu"]))
    assert constraint.value(0) is None
    assert 0 <= constraint.holds_when_deployed(0) <= 1
