from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.measurement import Estimate
from tuner.measure.pruning import (
    FEWEST_BATCHES,
    BurstPruner,
    Rival,
    WindowSoFar,
    bounds,
    over_saturated,
    so_far,
)
from tuner.measure.samples import CpuReadings, RequestOutcome, RequestSamples
from tuner.measure.statistics import Batches
from tuner.spec.study import Constraint, Objective

ART = Objective("art_ms", "minimize")
CPU = Objective("cpu_percent", "minimize")
RATE = Objective("throughput_rps", "maximize")
BATCH = 0.3


def seen(
    art_ms: float = 20.0,
    cores: float = 1.0,
    batches: int = 5,
    each: int = 100,
    failed: int = 0,
    wobble: float = 0.02,
) -> WindowSoFar:
    """A window of a host with two CPUs whose batches differ by `wobble`, a share."""
    shape = 1 + wobble * np.resize([1.0, -1.0, 0.0], batches)
    count = np.full(batches, float(each))
    steps = np.cumsum([0.0, *(BATCH * 1e9 * cores * shape)])
    times = BATCH * 1e9 * np.arange(batches + 1)
    n = batches * each
    outcome = np.full(n, RequestOutcome.OK, np.int8)
    outcome[:failed] = RequestOutcome.TIMEOUT
    zeros = np.zeros(n, np.int64)
    samples = RequestSamples(
        zeros,
        zeros,
        (art_ms * 1e6 * np.linspace(0.9, 1.1, n)).astype(np.int64),
        np.full(n, 200, np.int16),
        outcome,
        zeros.astype(np.int16),
        zeros.astype(np.int32),
        zeros.astype(np.int32),
    )
    cpu = CpuReadings(times[:, None].astype(np.int64), steps[:, None].astype(np.int64))
    return WindowSoFar(Batches(count, count * art_ms * shape), cpu, BATCH, lambda: samples)


def rule(
    *rivals: Rival,
    objectives: tuple[Objective, ...] = (ART, CPU),
    constraints: tuple[Constraint, ...] = (),
    margin: float = 0.05,
) -> BurstPruner:
    margins = (margin,) * len(objectives)
    return BurstPruner(objectives, constraints, rivals, margins, margin, host_cpus=2)


def test_a_burst_that_is_worse_in_all_is_hopeless_and_says_against_whom() -> None:
    pruner = rule(Rival(3, (30.0, 60.0)), Rival(7, (10.0, 30.0)))
    assert pruner(seen(art_ms=20, cores=1)) == "trial 7 is surely better in ART and CPU usage"


@pytest.mark.parametrize(
    ("art_ms", "cores"), [(5.0, 1.0), (20.0, 0.3), (10.2, 1.0), (20.0, 0.61), (5.0, 0.3)]
)
def test_one_that_may_be_better_in_something_goes_on(art_ms: float, cores: float) -> None:
    assert rule(Rival(7, (10.0, 30.0)))(seen(art_ms=art_ms, cores=cores)) == ""


def test_what_is_maximised_is_worse_where_it_is_less() -> None:
    pruner = rule(Rival(7, (10.0, 900.0)), objectives=(ART, RATE))
    assert "trial 7" in pruner(seen(art_ms=20, each=100))  # 333 requests/s
    assert pruner(seen(art_ms=20, each=300)) == ""  # 1000 requests/s


def test_it_is_never_judged_by_fewer_than_three_batches() -> None:
    pruner = rule(Rival(7, (1.0, 1.0)))
    assert pruner(seen(batches=FEWEST_BATCHES - 1, wobble=0)) == ""
    assert pruner(seen(batches=FEWEST_BATCHES, wobble=0)) != ""


def test_wide_intervals_of_its_own_keep_it_going() -> None:
    pruner = rule(Rival(7, (18.0, 45.0)), margin=0.0)
    assert pruner(seen(art_ms=20, cores=1, wobble=0.3)) == ""
    assert pruner(seen(art_ms=20, cores=1, wobble=0.001)) != ""


def test_what_differs_between_bursts_keeps_it_going() -> None:
    close = Rival(7, (19.5, 49.0))
    assert rule(close, margin=0.0)(seen(art_ms=20, cores=1, wobble=0.001)) != ""
    assert rule(close, margin=0.05)(seen(art_ms=20, cores=1, wobble=0.001)) == ""


def test_without_a_rival_nothing_is_dominated() -> None:
    assert rule()(seen()) == ""


def test_a_constraint_that_is_surely_broken_ends_it() -> None:
    slow = rule(constraints=(Constraint("p95_ms", "<=", 15.0),))
    assert slow(seen(art_ms=20)) == "p95_ms <= 15 is surely broken"
    assert slow(seen(art_ms=14)) == "", "it may hold"
    errors = rule(constraints=(Constraint("error_rate", "<=", 0.01),))
    assert errors(seen(failed=50)) == "error_rate <= 0.01 is surely broken"
    assert errors(seen(failed=6)) == ""
    rate = rule(constraints=(Constraint("throughput_rps", ">=", 400.0),))
    assert rate(seen(each=100)) == "throughput_rps >= 400 is surely broken"
    assert rate(seen(each=200)) == ""


def test_what_could_not_be_a_measurement_yet_goes_on() -> None:
    """p99 needs 662 requests: without them the trial could not be scored."""
    pruner = rule(Rival(7, (1.0, 1.0)), constraints=(Constraint("p99_ms", "<=", 1.0),))
    assert pruner(seen(batches=6, each=100)) == ""
    assert pruner(seen(batches=7, each=100)) != ""


def test_a_metric_of_the_counters_alone_is_not_judged() -> None:
    memory = Objective("memory_peak_mib", "minimize")
    assert rule(Rival(7, (1.0, 1.0)), objectives=(ART, memory))(seen()) == ""
    pruner = rule(Rival(7, (1.0, 1.0)), constraints=(Constraint("memory_peak_mib", "<=", 1.0),))
    assert "trial 7" in pruner(seen())


def test_metrics_of_a_window_so_far() -> None:
    window = seen(art_ms=20, cores=1, batches=6, each=100)
    expected = {"art_ms": 20, "cpu_cores": 1, "cpu_percent": 50, "throughput_rps": 100 / BATCH,
                "cpu_ms_per_request": 3, "error_rate": 0}  # fmt: skip
    for name, value in expected.items():
        found = so_far(window, name, 2)
        assert found is not None
        assert found.value == pytest.approx(value, rel=0.02)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
    assert so_far(window, "memory_peak_mib", 2) is None


@given(
    st.floats(0.1, 100), st.floats(0, 0.9), st.floats(0, 0.9), st.integers(3, 30), st.floats(0, 0.5)
)
def test_bounds_hold_the_interval_and_what_differs_between_bursts(
    value: float, below: float, above: float, batches: int, margin: float
) -> None:
    estimate = Estimate(value, value * (1 - below), value * (1 + above))
    low, high = bounds(estimate, batches, margin)
    assert estimate.low is not None
    assert estimate.high is not None
    tiny = 1e-9 * value
    assert low <= min(estimate.low, value * (1 - margin)) + tiny
    assert high >= max(estimate.high, value * (1 + margin)) - tiny


def test_a_value_without_an_interval_has_no_bounds() -> None:
    assert bounds(Estimate(3.0), 5, 0.1) == (-np.inf, np.inf)


def test_a_backlog_that_surely_grows_ends_an_open_loop() -> None:
    window = replace(seen(batches=10, each=30), due=900, ended=300)
    assert over_saturated(window) == (
        "over-saturated: 100 of 300 requests/s were answered, so the backlog grows"
    )
    assert not over_saturated(replace(window, batches=seen(batches=FEWEST_BATCHES - 1).batches))
    assert not over_saturated(replace(window, due=None)), "a closed loop has no backlog"


@pytest.mark.parametrize("rate", [10.0, 100.0, 2000.0])
def test_the_queue_of_a_server_that_is_busy_to_90_percent_is_no_growing_backlog(
    rate: float,
) -> None:
    rng = np.random.default_rng(3)
    due = np.cumsum(rng.exponential(1 / rate, 20_000))
    service = rng.exponential(0.9 / rate, len(due))
    # One server, first come first served: each begins when it is due and the one before has ended.
    total = np.cumsum(service)
    ended = total + np.maximum.accumulate(due - np.concatenate([[0.0], total[:-1]]))
    for batches in (FEWEST_BATCHES, 10, 25):
        window, seconds = seen(batches=batches), batches * BATCH
        for start in np.arange(0.0, due[-1] - seconds, max(seconds, due[-1] / 200)):
            came, went = (
                int(((at >= start) & (at < start + seconds)).sum()) for at in (due, ended)
            )
            assert not over_saturated(replace(window, due=came, ended=went))


def test_a_share_that_the_measurement_accepts_is_no_reason_to_end() -> None:
    window = replace(seen(batches=30), due=1_000_000, ended=960_000)
    assert not over_saturated(window)
    assert over_saturated(replace(window, ended=940_000))
