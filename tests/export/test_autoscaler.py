"""How many replicas a rate needs, by what one was measured to hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.small import holding, made, study, trial
from tuner.errors import InputError
from tuner.export.autoscaler import HEADROOM, autoscaling_for
from tuner.export.kubernetes import to_kubernetes
from tuner.export.provenance import provenance
from tuner.export.served import Served, served_by
from tuner.measure.measurement import Estimate
from tuner.spec.study import Objective


def measured(capacity: Estimate, used: float, replicas: int = 2, cpu: float = 0.5) -> Served:
    """A trial that held `capacity` requests/s and used `used` cores then."""
    one = trial(0, 3.0, 30.0, configuration={"replicas": replicas, "cpu": cpu})
    one = holding(one, capacity, used)
    return served_by(study(one), one)


def test_the_replicas_of_a_rate_and_the_cpu_at_which_they_are_kept() -> None:
    scaling = autoscaling_for(measured(Estimate(110.0, 100.0, 120.0), used=0.75), 300.0)
    # One of two holds 50 requests/s at 75 % of its CPU, and is kept at 40 and 60 %.
    assert (scaling.min_replicas, scaling.max_replicas, scaling.cpu_percent) == (1, 8, 60)


@given(
    st.floats(1, 1e4),
    st.floats(0.01, 1.0),
    st.integers(1, 8),
    st.floats(1, 1e5),
)
def test_no_replica_gets_more_than_it_is_kept_at_and_none_is_too_many(
    capacity: float, share: float, replicas: int, rate: float
) -> None:
    served = measured(Estimate(capacity), share * replicas * 0.5, replicas)
    kept = HEADROOM * capacity / replicas
    try:
        scaling = autoscaling_for(served, rate)
    except InputError:
        assert rate / kept > 9_999
        return
    assert rate / scaling.max_replicas <= kept * (1 + 1e-6)
    assert scaling.max_replicas == 1 or rate / (scaling.max_replicas - 1) >= kept * (1 - 1e-6)
    assert 1 <= scaling.cpu_percent <= max(1, 100 * HEADROOM * share + 1e-6)


def test_the_file_says_where_the_numbers_come_from() -> None:
    served = measured(Estimate(110.0, 100.0, 120.0), used=0.75)
    of = made(served.study, autoscaling=autoscaling_for(served, 300.0))
    text = to_kubernetes(of)
    assert "goes up to 8 replicas, for 300 requests/s." in text
    assert "It keeps each at 80 % of the 50 requests/s that it" in text
    assert "maxReplicas: 8" in text


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_a_rate_that_no_replicas_carry_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="is no rate that 1 to"):
        autoscaling_for(measured(Estimate(100.0), used=0.5), rate)


def test_an_objective_counts_by_all_bursts_of_its_configuration() -> None:
    bursts = (Estimate(110.0, 100.0, 120.0), Estimate(60.0, 50.0, 70.0))
    trials = (
        replace(measured(capacity, used=0.75).trial, number=n, values=(capacity.value,))
        for n, capacity in enumerate(bursts)
    )
    both = replace(study(*trials), objectives=(Objective("capacity_rps", "maximize"),))
    pooled = provenance(both, both.trials[0]).objectives["capacity_rps"]
    assert pooled.low is not None
    scaling = autoscaling_for(served_by(both, both.trials[0]), 300.0)
    assert scaling.max_replicas == math.ceil(300 / (HEADROOM * pooled.low / 2)) > 8


def test_a_study_that_did_not_measure_its_capacity_says_so() -> None:
    one = study(trial(0, 3.0, 30.0))
    with pytest.raises(InputError, match="needs capacity_rps, which trial 0 did not measure"):
        autoscaling_for(served_by(one, one.trials[0]), 100.0)
