import re

import pytest

from tuner.errors import TrialFailed
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.score import score
from tuner.spec.metrics import METRICS, PERCENTILES
from tuner.spec.study import Constraint, Objective


def measurement(errors: int = 0, **metrics: float) -> Measurement:
    return Measurement(
        metrics={name: Estimate(value) for name, value in metrics.items()},
        findings=(),
        requests=500,
        warmup_requests=10,
        window_seconds=2.0,
        stop_reason="",
        errors={"RESET": errors} if errors else {},
    )


OBJECTIVES = (Objective("cpu_percent", "minimize"), Objective("art_ms", "minimize"))


def test_values_are_in_the_order_of_the_objectives() -> None:
    found = score(measurement(art_ms=5.0, cpu_percent=40.0), OBJECTIVES, ())
    assert found.values == (40.0, 5.0)
    assert found.feasible


def test_constraints_are_violated_by_how_much() -> None:
    constraints = (Constraint("p95_ms", "<=", 80), Constraint("throughput_rps", ">=", 100))
    seen = measurement(art_ms=5.0, cpu_percent=40.0, p95_ms=95.5, throughput_rps=150)
    found = score(seen, OBJECTIVES, constraints)
    assert found.violations == {"p95_ms <= 80": 15.5, "throughput_rps >= 100": -50}
    assert not found.feasible


def test_a_bound_that_is_just_met_holds() -> None:
    seen = measurement(art_ms=5.0, cpu_percent=40.0)
    assert score(seen, OBJECTIVES, (Constraint("art_ms", "<=", 5),)).feasible


def test_a_percentile_without_samples_fails_the_trial_with_the_mend() -> None:
    seen = measurement(art_ms=5.0, cpu_percent=40.0)
    with pytest.raises(TrialFailed, match="662 successful requests, the window has 500") as error:
        score(seen, OBJECTIVES, (Constraint("p99_ms", "<=", 80),))
    assert "load.min_seconds" in error.value.mend


def test_a_window_without_success_fails_the_trial() -> None:
    with pytest.raises(TrialFailed, match="none of 500 requests"):
        score(measurement(errors=500, cpu_percent=1.0), OBJECTIVES, ())


def test_a_counter_that_is_not_there_fails_the_trial() -> None:
    with pytest.raises(TrialFailed, match="counters"):
        score(measurement(art_ms=1.0), OBJECTIVES, ())


def test_percentiles_are_metrics() -> None:
    assert set(PERCENTILES) == {name for name in METRICS if re.fullmatch(r"p\d+_ms", name)}
