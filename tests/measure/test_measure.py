from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.measure.measure import measure
from tuner.measure.measurement import Measurement
from tuner.measure.samples import Burst, ContainerCounters, Outcome, RequestSamples
from tuner.measure.stopping import CAPPED
from tuner.spec.metrics import METRICS

SECOND = 10**9
MS = 10**6


def counters(
    seconds: float,
    cpu_ns: int = 0,
    periods: int = 0,
    throttled_periods: int = 0,
    memory_peak_bytes: int = 0,
    major_faults: int = 0,
) -> ContainerCounters:
    return ContainerCounters(
        time_ns=round(seconds * SECOND),
        cpu_ns=cpu_ns,
        periods=periods,
        throttled_periods=throttled_periods,
        throttled_ns=0,
        memory_peak_bytes=memory_peak_bytes,
        memory_limit_hits=0,
        oom_kills=0,
        major_faults=major_faults,
        source="test",
    )


def closed_loop(
    concurrency: int = 4,
    response_ms: float = 10,
    seconds: float = 6,
    window: tuple[float, float] = (1, 5),
    gap_ms: float = 0,
) -> Burst:
    """Connections that start staggered, so that completions are spread evenly."""
    cycle = (response_ms + gap_ms) * MS
    each = int(seconds * SECOND / cycle)
    connection = np.tile(np.arange(concurrency), each)
    number = np.repeat(np.arange(each), concurrency)
    start = (number * cycle + connection * cycle / concurrency).astype(np.int64)
    n = len(start)
    samples = RequestSamples(
        start_ns=start,
        duration_ns=np.full(n, round(response_ms * MS), np.int64),
        status=np.full(n, 200, np.int16),
        outcome=np.zeros(n, np.int8),
        replica=(connection % 2).astype(np.int16),
        connection=connection.astype(np.int32),
        request=np.zeros(n, np.int32),
    )
    return Burst(
        samples=samples,
        window_start_ns=round(window[0] * SECOND),
        window_end_ns=round(window[1] * SECOND),
        counters_start=(counters(101, periods=1, memory_peak_bytes=2**20), counters(101.5)),
        counters_end=(
            counters(
                105,
                cpu_ns=2 * SECOND,
                periods=41,
                throttled_periods=10,
                memory_peak_bytes=3 * 2**20,
                major_faults=4,
            ),
            counters(105.5, cpu_ns=SECOND, memory_peak_bytes=2**20),
        ),
        client_cpu_ns=SECOND // 10,
        concurrency=concurrency,
        stop_reason="as asked",
    )


def with_outcomes(burst: Burst, outcomes: dict[int, Outcome]) -> Burst:
    outcome = burst.samples.outcome.copy()
    for i, o in outcomes.items():
        outcome[i] = o
    return replace(burst, samples=replace(burst.samples, outcome=outcome))


def verdicts(measurement: Measurement) -> set[tuple[str, str]]:
    return {(f.verdict, " ".join(f.what.split()[:3])) for f in measurement.findings}


def test_all_metrics_of_a_known_burst() -> None:
    found = measure(closed_loop(), host_cpus=4, batch_seconds=0.25)
    values = {name: estimate.value for name, estimate in found.metrics.items()}
    assert values == pytest.approx(
        {
            "art_ms": 10,
            "p50_ms": 10,
            "p90_ms": 10,
            "p95_ms": 10,
            "p99_ms": 10,
            "throughput_rps": 400,
            "error_rate": 0,
            "cpu_percent": 100 * 0.75 / 4,
            "cpu_cores": 0.75,
            "cpu_ms_per_request": 750 / 400,
            "memory_peak_mib": 4,
            "throttled_percent": 25,
            "major_faults_per_s": 1,
        }
    )
    assert set(values) == set(METRICS)
    assert found.requests == 1600
    assert found.window_seconds == 4
    assert found.verdict == "VALID"
    assert found.stop_reason == "as asked"


def test_the_window_holds_what_completes_in_it() -> None:
    burst = closed_loop(window=(0.5, 1.0))
    end = burst.samples.start_ns + burst.samples.duration_ns
    edges = replace(burst, window_start_ns=int(end[100]), window_end_ns=int(end[300]))
    found = measure(edges, 1, 0.25)
    assert found.requests == 200
    assert found.warmup_requests == 100


def test_each_replica_has_its_own_clock() -> None:
    burst = closed_loop()
    start, end = burst.counters_start[1], burst.counters_end[1]
    later = replace(
        burst,
        counters_start=(burst.counters_start[0], replace(start, time_ns=start.time_ns + 77)),
        counters_end=(burst.counters_end[0], replace(end, time_ns=end.time_ns + 77)),
    )
    same = measure(later, 4, 0.25).metrics["cpu_percent"]
    assert same == measure(burst, 4, 0.25).metrics["cpu_percent"]


def test_what_counters_do_not_give_is_absent() -> None:
    burst = closed_loop()
    no_quota = tuple(replace(c, periods=0, throttled_periods=0) for c in burst.counters_end)
    start = tuple(replace(c, periods=0) for c in burst.counters_start)
    found = measure(replace(burst, counters_start=start, counters_end=no_quota), 1, 0.25)
    assert set(METRICS) - set(found.metrics) == {"throttled_percent"}
    none = measure(replace(burst, counters_start=(), counters_end=()), 1, 0.25)
    assert "cpu_percent" not in none.metrics
    assert "cpu_ms_per_request" not in none.metrics
    assert "art_ms" in none.metrics


def test_errors_are_counted_apart_and_do_not_make_a_server_fast() -> None:
    burst = closed_loop()
    outcomes = {900: Outcome.RESET, 901: Outcome.TIMEOUT, 902: Outcome.TIMEOUT}
    duration = burst.samples.duration_ns.copy()
    duration[900:903] = 1
    burst = replace(burst, samples=replace(burst.samples, duration_ns=duration))
    found = measure(with_outcomes(burst, outcomes), 4, 0.25)
    assert found.errors == {"TIMEOUT": 2, "RESET": 1}
    assert found.metrics["art_ms"].value == 10
    assert found.metrics["error_rate"].value == pytest.approx(3 / 1600)
    assert found.verdict == "WARN"
    assert {f.what for f in found.findings} == {
        "2 of 1600 requests: timeout",
        "1 of 1600 requests: reset",
    }


def test_errors_outside_the_window_do_not_count() -> None:
    found = measure(with_outcomes(closed_loop(), {0: Outcome.RESET}), 4, 0.25)
    assert not found.errors
    assert found.verdict == "VALID"


def test_wrong_answers_are_invalid() -> None:
    found = measure(with_outcomes(closed_loop(), {900: Outcome.WRONG_ANSWER}), 4, 0.25)
    assert found.verdict == "INVALID"


def test_nothing_but_errors() -> None:
    burst = closed_loop()
    all_lost = dict.fromkeys(range(len(burst.samples)), Outcome.RESET)
    found = measure(with_outcomes(burst, all_lost), 4, 0.25)
    assert found.verdict == "INVALID"
    assert found.metrics["error_rate"].value == 1
    assert not {"art_ms", "p50_ms", "throughput_rps"} & set(found.metrics)
    assert "cpu_percent" in found.metrics


def test_an_empty_burst_is_invalid() -> None:
    burst = closed_loop()
    empty = replace(burst, samples=burst.samples.select(np.zeros(len(burst.samples), bool)))
    found = measure(empty, 4, 0.25)
    assert found.verdict == "INVALID"
    assert found.requests == 0


def test_too_few_samples_for_a_percentile() -> None:
    found = measure(closed_loop(concurrency=1), 4, 0.25)  # 400 requests
    assert "p95_ms" in found.metrics
    assert "p99_ms" not in found.metrics


def test_idle_connections_break_littles_law() -> None:
    some = measure(closed_loop(gap_ms=0.5), 4, 0.25)
    assert verdicts(some) == {("WARN", "rate x response")}
    many = measure(closed_loop(gap_ms=5), 4, 0.25)
    assert verdicts(many) == {("INVALID", "rate x response")}


def test_requests_counted_twice_break_littles_law() -> None:
    burst = closed_loop()
    assert measure(replace(burst, concurrency=2), 4, 0.25).verdict == "INVALID"


def test_long_requests_at_the_edges_are_told_from_idle_connections() -> None:
    burst = closed_loop(concurrency=1, response_ms=900, seconds=20, window=(0.95, 4.4))
    found = measure(burst, 4, 0.25)
    little = [f for f in found.findings if "Little" in f.what]
    assert [f.verdict for f in little] == ["WARN"]
    assert "edges" in little[0].what


@pytest.mark.parametrize(("busy", "verdict"), [(0.4, "VALID"), (0.6, "WARN"), (0.9, "INVALID")])
def test_a_busy_client_is_doubted(busy: float, verdict: str) -> None:
    burst = replace(closed_loop(), client_cpu_ns=round(busy * 4 * SECOND))
    assert measure(burst, 4, 0.25).verdict == verdict


def test_major_faults_are_doubted() -> None:
    burst = closed_loop()
    first, second = burst.counters_end
    swapping = replace(burst, counters_end=(replace(first, major_faults=24), second))
    assert verdicts(measure(swapping, 4, 0.25)) == {("WARN", "6 major page")}


def test_an_imprecise_window_is_doubted() -> None:
    burst = replace(closed_loop(), stop_reason=f"{CAPPED} of 8 s: ART known to ± 9 %")
    assert verdicts(measure(burst, 4, 0.25)) == {("WARN", "the window ended")}


def test_few_requests_and_silent_connections_are_doubted() -> None:
    burst = closed_loop(concurrency=8, response_ms=1000, seconds=20, window=(1, 5))
    found = measure(burst, 4, 0.25)
    assert ("WARN", "only 32 successful") in verdicts(found)
    silent = closed_loop(concurrency=8)
    mask = silent.samples.connection != 3
    found = measure(replace(silent, samples=silent.samples.select(mask)), 4, 0.25)
    assert ("WARN", "1 of 8") in verdicts(found)


def test_every_finding_has_a_remedy() -> None:
    burst = replace(closed_loop(gap_ms=5), client_cpu_ns=4 * SECOND, stop_reason=CAPPED)
    found = measure(with_outcomes(burst, {900: Outcome.RESET}), 4, 0.25)
    assert len(found.findings) == 4
    assert all(f.remedy.endswith(".") for f in found.findings)


@settings(max_examples=50)
@given(
    st.integers(0, 2**31),
    st.integers(1, 400),
    st.floats(0.1, 500),
    st.floats(0.1, 2),
)
def test_intervals_hold_their_value(seed: int, n: int, scale_ms: float, span: float) -> None:
    rng = np.random.default_rng(seed)
    end = np.sort(rng.integers(0, 10 * SECOND, n))
    duration = (rng.exponential(scale_ms, n) * MS).astype(np.int64) + 1
    burst = closed_loop()
    samples = RequestSamples(
        start_ns=end - duration,
        duration_ns=duration,
        status=np.full(n, 200, np.int16),
        outcome=rng.choice(len(Outcome), n).astype(np.int8),
        replica=np.zeros(n, np.int16),
        connection=np.zeros(n, np.int32),
        request=np.zeros(n, np.int32),
    )
    found = measure(replace(burst, samples=samples), 4, span)
    good = [o for e, o in zip(end, samples.outcome, strict=True) if SECOND <= e < 5 * SECOND]
    assert found.requests == len(good)
    assert sum(found.errors.values()) == sum(o != Outcome.OK for o in good)
    for estimate in found.metrics.values():
        if estimate.low is not None and estimate.high is not None:
            assert estimate.low <= estimate.value <= estimate.high
