from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.measure.bursts import (
    CALIBRATION,
    MS,
    SECOND,
    closed_loop,
    open_loop,
    samples,
    with_outcomes,
)
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import RequestOutcome
from tuner.spec.metrics import LATE_NS, METRICS
from tuner.spec.reservation import RESERVED


def test_all_metrics_of_a_known_burst() -> None:
    found = measure_burst(closed_loop(), 4, 0.25, calibration=CALIBRATION, latency_bound_ms=20)
    values = {name: estimate.value for name, estimate in found.metrics.items()}
    assert values == pytest.approx(
        {
            "art_ms": 10,
            "p50_ms": 10,
            "p90_ms": 10,
            "p95_ms": 10,
            "p99_ms": 10,
            "throughput_rps": 400,
            "goodput_rps": 400,
            "error_rate": 0,
            "cpu_percent": 100 * 0.75 / 4,
            "cpu_cores": 0.75,
            "cpu_ms_per_request": 750 / 400,
            "memory_peak_mib": 4,
            "memory_limit_hits_per_s": 2,
            "throttled_percent": 25,
            "major_faults_per_s": 1,
            "replica_wait_percent": 2,
            "received_mib_per_s": 2,
            "sent_mib_per_s": 1,
            "retransmitted_percent": 2,
            "cpu_pressure_percent": 5,
            "memory_pressure_percent": 1,
            "io_pressure_percent": 1,
            "client_cpu_percent": 2.5,
            "client_wait_percent": 1,
            "foreign_percent": 1,
            "steal_percent": 0.5,
            "power_w": 8,
            "energy_j_per_request": 0.02,
        }
    )
    # Only an open loop can be late, only a lossy network delays; the others are no burst's.
    others = {
        "late_percent",
        "delayed_percent",
        "loss_delay_ms",
        "ready_seconds",
        "capacity_rps",
        "nodes",
    }
    others |= {*RESERVED}
    assert set(values) == set(METRICS) - others
    assert (found.verdict, found.findings) == ("VALID", ())
    assert (found.requests, found.warmup_requests) == (1600, 396)
    assert (found.window_seconds, found.saved_seconds) == (4, 4)
    assert found.stop_reason == "as asked"
    assert (found.client, found.source) == ({"cpus": [1]}, "test")


def test_the_window_holds_what_completes_in_it() -> None:
    burst = closed_loop(window=(0.5, 1.0))
    end = burst.samples.start_ns + burst.samples.duration_ns
    edges = replace(burst, window_start_ns=int(end[100]), window_end_ns=int(end[300]))
    found = measure_burst(edges, 1, 0.25)
    assert found.requests == 200
    assert found.warmup_requests == 100


def test_each_replica_is_measured_by_itself() -> None:
    burst = closed_loop()
    slow = burst.samples.duration_ns + np.where(burst.samples.replica == 1, 2 * MS, 0)
    found = measure_burst(replace(burst, samples=replace(burst.samples, duration_ns=slow)), 4, 0.25)
    first, second = found.replicas
    assert (first["art_ms"], second["art_ms"]) == (10, 12)
    assert first["throughput_rps"] + second["throughput_rps"] == pytest.approx(
        found.metrics["throughput_rps"].value
    )
    assert (first["cpu_cores"], second["cpu_cores"]) == (0.5, 0.25)
    assert (first["retransmitted_percent"], second["retransmitted_percent"]) == (1, 3)
    assert "throttled_percent" in first
    assert "throttled_percent" not in second, "it has no quota, so it has no periods"


def test_a_replica_without_requests_has_its_counters_only() -> None:
    burst = closed_loop()
    lone = burst.samples.select(burst.samples.replica == 0)
    idle = measure_burst(replace(burst, samples=lone), 4, 0.25).replicas[1]
    assert idle["throughput_rps"] == 0
    assert idle["cpu_cores"] == 0.25
    assert "art_ms" not in idle


def test_errors_are_counted_apart_and_do_not_make_a_server_fast() -> None:
    burst = closed_loop()
    outcomes = {900: RequestOutcome.RESET, 901: RequestOutcome.TIMEOUT, 902: RequestOutcome.TIMEOUT}
    duration = burst.samples.duration_ns.copy()
    duration[900:903] = 1
    burst = replace(burst, samples=replace(burst.samples, duration_ns=duration))
    found = measure_burst(with_outcomes(burst, outcomes), 4, 0.25)
    assert found.errors == {"TIMEOUT": 2, "RESET": 1}
    assert found.metrics["art_ms"].value == 10
    assert found.metrics["error_rate"].value == pytest.approx(3 / 1600)


def test_errors_outside_the_window_do_not_count() -> None:
    found = measure_burst(with_outcomes(closed_loop(), {0: RequestOutcome.RESET}), 4, 0.25)
    assert not found.errors
    assert found.verdict == "VALID"


def test_nothing_but_errors() -> None:
    burst = closed_loop()
    all_lost = dict.fromkeys(range(len(burst.samples)), RequestOutcome.RESET)
    found = measure_burst(with_outcomes(burst, all_lost), 4, 0.25, calibration=CALIBRATION)
    assert found.metrics["error_rate"].value == 1
    assert not {"art_ms", "p50_ms", "throughput_rps", "energy_j_per_request"} & set(found.metrics)
    assert {"cpu_percent", "power_w"} <= set(found.metrics)


def test_too_few_samples_for_a_percentile() -> None:
    found = measure_burst(closed_loop(concurrency=1), 4, 0.25)  # 400 requests
    assert "p95_ms" in found.metrics
    assert "p99_ms" not in found.metrics


def test_a_request_is_late_that_was_sent_late_or_never() -> None:
    burst = open_loop(rate_rps=100)  # 400 are due in the window
    delay = burst.samples.delay_ns.copy()
    delay[[150, 160]] = LATE_NS, LATE_NS + 1
    delay[[10, 599]] = SECOND  # due in warm-up, and after the window
    burst = replace(burst, samples=replace(burst.samples, delay_ns=delay))
    never = with_outcomes(burst, {200: RequestOutcome.NOT_SENT, 201: RequestOutcome.NOT_SENT})
    found = measure_burst(never, 4, 0.25).metrics["late_percent"]
    assert found.value == pytest.approx(100 * 3 / 400)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high < 100


def test_an_open_loop_in_which_nothing_was_due_is_not_late() -> None:
    burst = open_loop()
    due_before = burst.samples.select(burst.samples.start_ns < burst.window_start_ns)
    assert "late_percent" not in measure_burst(replace(burst, samples=due_before), 4, 0.25).metrics


def test_a_closed_loop_cannot_be_late() -> None:
    burst = closed_loop()
    delay = np.full(len(burst.samples), SECOND)
    delayed = replace(burst, samples=replace(burst.samples, delay_ns=delay))
    assert "late_percent" not in measure_burst(delayed, 4, 0.25).metrics


@settings(max_examples=50)
@given(
    st.integers(0, 2**31),
    st.integers(0, 400),
    st.floats(0.1, 500),
    st.floats(0.1, 2),
    st.sampled_from([None, 40.0]),
)
def test_intervals_hold_their_value(
    seed: int, n: int, scale_ms: float, span: float, rate_rps: float | None
) -> None:
    rng = np.random.default_rng(seed)
    end = np.sort(rng.integers(0, 10 * SECOND, n))
    duration = (rng.exponential(scale_ms, n) * MS).astype(np.int64) + 1
    sent = samples(end.tolist(), duration.tolist(), rng.choice(len(RequestOutcome), n).tolist())
    burst = replace(closed_loop(), samples=sent, rate_rps=rate_rps)
    found = measure_burst(burst, 4, span, calibration=CALIBRATION)
    inside = sent.outcome[(end >= SECOND) & (end < 5 * SECOND)]
    assert found.requests == len(inside)
    assert sum(found.errors.values()) == np.count_nonzero(inside != RequestOutcome.OK)
    assert set(found.metrics) <= set(METRICS)
    for estimate in found.metrics.values():
        assert np.isfinite(estimate.value)
        if estimate.low is not None and estimate.high is not None:
            assert estimate.low <= estimate.value <= estimate.high


def test_goodput_counts_what_kept_the_bound() -> None:
    burst = closed_loop()  # each request takes 10 ms
    metrics = measure_burst(burst, 4, 0.25, latency_bound_ms=9.9).metrics
    assert metrics["goodput_rps"].value == 0
    kept = measure_burst(burst, 4, 0.25, latency_bound_ms=10).metrics
    assert kept["goodput_rps"] == kept["throughput_rps"]
    assert "goodput_rps" not in measure_burst(burst, 4, 0.25).metrics
