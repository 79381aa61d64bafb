import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.bursts import (
    CALIBRATION,
    MS,
    SECOND,
    closed_loop,
    counters,
    ending,
    host_ending,
    readings,
)
from tuner.measure import resources
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, CpuReadings
from tuner.measure.statistics import Batches


def metrics(burst: Burst) -> dict[str, float]:
    found = measure_burst(burst, host_cpus=4, batch_seconds=0.25, calibration=CALIBRATION)
    return {name: estimate.value for name, estimate in found.metrics.items()}


def reading(cpu: CpuReadings) -> Burst:
    return replace(closed_loop(), cpu=cpu)


@given(
    st.integers(1, 4).flatmap(
        lambda replicas: st.lists(
            st.tuples(
                st.floats(0.05, 2),
                st.lists(st.floats(0, 8), min_size=replicas, max_size=replicas),
            ),
            min_size=1,
            max_size=100,
        )
    )
)
def test_cpu_usage_is_exact_whatever_the_batches(steps: list[tuple[float, list[float]]]) -> None:
    """Batches of any length, and any use in each: all CPU time over all wall time."""
    spans = [span for span, _ in steps]
    used = np.array([[span * cores for cores in each] for span, each in steps])
    time = np.concatenate([[0], np.cumsum(spans)])
    cpu = np.vstack([np.zeros(used.shape[1]), np.cumsum(used, axis=0)])
    found = resources.cores(reading(readings(time.tolist(), cpu.T.tolist())))
    assert found is not None
    assert found.value == pytest.approx(used.sum() / sum(spans), abs=1e-6)
    assert (found.low is None) == (found.high is None) == (len(steps) == 1)
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value <= found.high


def test_each_replica_has_its_own_clock() -> None:
    burst = closed_loop()
    ahead = CpuReadings(burst.cpu.time_ns + np.array([0, 77 * SECOND]), burst.cpu.cpu_ns)
    assert resources.cores(reading(ahead)) == resources.cores(burst)


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_interval_of_unsteady_cpu_usage_holds_the_truth_as_often_as_it_says(
    replicas: int,
) -> None:
    rng = np.random.default_rng(11)
    truth, hits, repeats = 0.6, 0, 600
    for _ in range(repeats):
        spans = rng.uniform(0.25, 0.35, 20)
        used = rng.gamma(4, truth / 4 / replicas, (20, replicas)) * spans[:, None]
        time = np.concatenate([[0], np.cumsum(spans)])
        cpu = np.vstack([np.zeros(replicas), np.cumsum(used, axis=0)])
        found = resources.cores(reading(readings(time.tolist(), cpu.T.tolist())))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.925 <= hits / repeats <= 0.975


def test_cpu_usage_is_that_of_the_whole_host() -> None:
    burst = closed_loop()
    found = measure_burst(burst, host_cpus=8, batch_seconds=0.25).metrics
    cores, percent = found["cpu_cores"], found["cpu_percent"]
    assert percent.value == pytest.approx(100 * cores.value / 8)
    assert percent.high == pytest.approx(100 * (cores.high or 0) / 8)


def test_cpu_per_request_has_an_interval_over_batches() -> None:
    """Twice the CPU and twice the requests in every other batch: each request costs the same."""
    time = np.arange(9) * 0.5
    used = np.array([0, *np.cumsum([0.1, 0.2] * 4)])
    spans = Batches(np.array([100.0, 200.0] * 4), np.zeros(8))
    found = resources.per_request(readings(time.tolist(), [used.tolist()]), spans, 0.5)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_without_a_reading_for_each_batch_cpu_per_request_has_no_interval() -> None:
    cpu = readings([0, 1, 2], [[0, 1, 2]])
    assert resources.per_request(cpu, Batches(np.ones(3), np.ones(3)), 1.0) is None
    burst = closed_loop()
    few = replace(burst, cpu=CpuReadings(burst.cpu.time_ns[::4], burst.cpu.cpu_ns[::4]))
    found = measure_burst(few, 4, 0.25).metrics["cpu_ms_per_request"]
    assert (found.value, found.low) == (750 / 400, None)


@pytest.mark.parametrize(
    ("counter", "metric"),
    [
        ("wait_ns", "replica_wait_percent"),
        ("received_bytes", "received_mib_per_s"),
        ("sent_bytes", "sent_mib_per_s"),
        ("retransmitted", "retransmitted_percent"),
        ("segments_sent", "retransmitted_percent"),
        ("cpu_pressure_ns", "cpu_pressure_percent"),
        ("memory_pressure_ns", "memory_pressure_percent"),
        ("io_pressure_ns", "io_pressure_percent"),
    ],
)
def test_what_one_replica_does_not_have_is_absent_from_the_total(counter: str, metric: str) -> None:
    burst = ending(closed_loop(), 1, **{counter: None})
    found = measure_burst(burst, 4, 0.25)
    assert set(metrics(closed_loop())) - set(metrics(burst)) == {metric}
    assert metric in found.replicas[0]
    assert metric not in found.replicas[1]


def test_without_a_quota_nothing_says_throttled_and_without_segments_nothing_retransmitted() -> (
    None
):
    burst = ending(closed_loop(), 0, periods=0, throttled_periods=0, segments_sent=0)
    burst = ending(burst, 1, segments_sent=0)
    assert set(metrics(closed_loop())) - set(metrics(burst)) == {
        "throttled_percent",
        "retransmitted_percent",
    }


@pytest.mark.parametrize(
    "cpu",
    [
        CpuReadings(np.zeros((17, 0), np.int64), np.zeros((17, 0), np.int64)),
        CpuReadings(np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int64)),
    ],
)
def test_without_counters_of_replicas_their_metrics_are_absent(cpu: CpuReadings) -> None:
    none = replace(closed_loop(), counters_start=(), counters_end=(), cpu=cpu)
    found = measure_burst(none, 4, 0.25, calibration=CALIBRATION)
    assert not {m for m in found.metrics if m.startswith(("cpu_", "memory_", "foreign"))}
    assert {"art_ms", "client_cpu_percent", "steal_percent", "power_w"} <= set(found.metrics)
    assert found.replicas == ()


def test_counters_whose_clock_stood_still_say_nothing() -> None:
    burst = closed_loop()
    still = replace(
        burst,
        counters_end=burst.counters_start,
        cpu=CpuReadings(np.tile(burst.cpu.time_ns[:1], (17, 1)), burst.cpu.cpu_ns),
    )
    found = measure_burst(still, 4, 0.25).metrics
    assert "art_ms" in found
    assert not {"cpu_cores", "cpu_percent", "cpu_ms_per_request", "foreign_percent"} & set(found)


def test_without_readings_of_batches_cpu_usage_is_that_between_the_ends() -> None:
    burst = closed_loop()
    found = measure_burst(
        reading(CpuReadings(burst.cpu.time_ns[:1], burst.cpu.cpu_ns[:1])), 4, 0.25
    )
    assert {n: e.value for n, e in found.metrics.items()} == pytest.approx(
        {n: e.value for n, e in measure_burst(burst, 4, 0.25).metrics.items()}
    )
    assert found.metrics["cpu_cores"].low is None


def test_threads_that_ended_take_no_wait_from_the_others() -> None:
    """What they had waited is gone from the sum over threads; it never counts against it."""
    burst = ending(closed_loop(), 0, wait_ns=-400 * MS)
    assert metrics(burst)["replica_wait_percent"] == pytest.approx((0 + 3) / 2)


def test_the_client_is_busy_and_waits_for_a_cpu() -> None:
    burst = closed_loop()
    end = replace(burst.client_end[0], cpu_ns=3 * SECOND, wait_ns=SECOND)
    found = metrics(replace(burst, client_end=(end,)))
    assert (found["client_cpu_percent"], found["client_wait_percent"]) == (75, 25)


def test_of_several_senders_the_busiest_is_doubted_and_all_of_them_are_ours() -> None:
    burst = closed_loop()
    (start,), (end,) = burst.client_start, burst.client_end
    lazy = replace(end, cpu_ns=SECOND, wait_ns=2 * SECOND)
    two = replace(
        burst, client_start=(start, start), client_end=(replace(end, cpu_ns=3 * SECOND), lazy)
    )
    found = metrics(two)
    assert (found["client_cpu_percent"], found["client_wait_percent"]) == (75, 50)
    assert measure_burst(two, 4, 0.25).client["sender"] == (
        {"cpu_percent": 75.0, "wait_percent": 1.0},
        {"cpu_percent": 25.0, "wait_percent": 50.0},
    )
    # 4 s of CPU time instead of 0.1 s are not foreign.
    busy = host_ending(two, busy_ns=3280 * MS + 3900 * MS)
    assert metrics(busy)["foreign_percent"] == pytest.approx(metrics(burst)["foreign_percent"])


@pytest.mark.parametrize("end", ["client_start", "client_end"])
def test_a_client_whose_wait_is_not_known(end: str) -> None:
    burst = closed_loop()
    changes: dict[str, Any] = {end: (replace(getattr(burst, end)[0], wait_ns=None),)}
    found = metrics(replace(burst, **changes))
    assert "client_wait_percent" not in found
    assert "client_cpu_percent" in found


@given(
    st.lists(st.integers(0, 10**10), min_size=4, max_size=4),
    st.integers(1, 64),
    st.integers(0, 10**15),
)
def test_foreign_is_what_is_neither_replicas_nor_client_nor_tune(
    parts: list[int], cpus: int, booted: int
) -> None:
    replicas, client, own, foreign = parts
    burst = closed_loop()
    start, end = burst.host_start, burst.host_end
    assert start is not None
    assert end is not None
    used = burst.cpu.cpu_ns * np.array([0, 1]) + np.rint(
        np.linspace(0, replicas, 17)[:, None] * np.array([1, 0])
    ).astype(np.int64)
    total = replicas + int(used[-1, 1]) + client + own + foreign
    burst = replace(
        burst,
        cpu=CpuReadings(burst.cpu.time_ns, used),
        client_end=(replace(burst.client_end[0], cpu_ns=client),),
        host_start=replace(start, busy_ns=booted, own_ns=booted, cpus=cpus),
        host_end=replace(end, busy_ns=booted + total, own_ns=booted + own, cpus=cpus),
    )
    found = resources.of_host(burst, None)["foreign_percent"].value
    assert found == pytest.approx(100 * foreign / (4 * SECOND * cpus), abs=1e-4)


def test_foreign_is_never_negative() -> None:
    assert metrics(host_ending(closed_loop(), busy_ns=MS))["foreign_percent"] == 0


def test_a_host_on_another_machine_says_nothing() -> None:
    burst = replace(closed_loop(), host_start=None, host_end=None)
    assert set(metrics(closed_loop())) - set(metrics(burst)) == {
        "foreign_percent",
        "steal_percent",
        "power_w",
        "energy_j_per_request",
    }


def test_power_is_that_above_the_idle_host() -> None:
    burst = host_ending(closed_loop(), energy_uj={"package-0": (20_000_000, 2**32)})
    found = metrics(burst)
    assert found["power_w"] == pytest.approx(5 - 3)
    assert found["energy_j_per_request"] == pytest.approx(2 / 400)
    thrifty = metrics(host_ending(burst, energy_uj={"package-0": (1, 2**32)}))
    assert thrifty["power_w"] == thrifty["energy_j_per_request"] == 0


def test_an_energy_counter_may_start_again() -> None:
    burst = closed_loop()
    assert burst.host_start is not None
    start = replace(burst.host_start, energy_uj={"package-0": (90_000_000, 99_999_999)})
    burst = host_ending(replace(burst, host_start=start), energy_uj={"package-0": (10**7, 10**8)})
    assert metrics(burst)["power_w"] == pytest.approx(5 - 3)


@pytest.mark.parametrize("energy", [{}, {"package-1": (44_000_000, 2**32)}])
def test_power_without_rapl_is_absent_not_zero(energy: dict[str, tuple[int, int]]) -> None:
    found = metrics(host_ending(closed_loop(), energy_uj=energy))
    assert not {"power_w", "energy_j_per_request"} & set(found)


def test_power_needs_the_idle_host_to_compare_with() -> None:
    for calibration in (None, replace(CALIBRATION, idle_power_w=None)):
        found = measure_burst(closed_loop(), 4, 0.25, calibration=calibration).metrics
        assert "power_w" not in found


def test_every_counter_of_a_replica_is_one_that_a_source_may_lack_or_always_has() -> None:
    """The counters that the bursts of these tests are made of are all that there are."""
    bare, whole = counters(1), closed_loop().counters_end[0]
    lacking = {f.name for f in dataclasses.fields(bare) if getattr(bare, f.name) is None}
    assert all(getattr(whole, name) is not None for name in lacking)


def test_a_source_that_counts_more_slowly_than_batches_pass_has_an_interval_still() -> None:
    """Two replicas that are read four times a second and counted once, at different moments."""
    moments = np.arange(0, 6.01, 0.25)
    one, two = np.floor(moments), np.floor(moments + 0.5) - 0.5
    slow = CpuReadings(
        np.rint(np.stack([one, two], 1) * SECOND).astype(np.int64),
        np.rint(np.stack([0.5 * one, 0.25 * two], 1) * SECOND).astype(np.int64),
    )
    found = resources.cores_of(slow)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert resources.cores_of_batches(slow) is None


def test_a_source_that_counted_too_few_times_has_no_interval() -> None:
    moments = np.floor(np.arange(0, 2.01, 0.25))
    slow = readings(list(moments), [list(0.5 * moments)])
    assert resources.cores_of(slow) is None
