from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.backends.queueing import (
    MAX_RETRANSMISSIONS,
    cores_in_use,
    exchange_loss,
    mean_retransmission_seconds,
    retransmission_seconds,
    solve,
)

concurrencies = st.integers(1, 64)
replica_counts = st.integers(1, 16)
quotas = st.floats(0.1, 8.0)
host_sizes = st.integers(1, 64)
services = st.floats(1e-4, 1.0)
delays = st.floats(0.0, 1.0)
losses = st.floats(0.0, 30.0)


@given(concurrencies, replica_counts, quotas, host_sizes, services, delays)
def test_little_holds_and_nothing_exceeds_its_capacity(
    concurrency: int, replicas: int, cpu: float, cpus: int, service: float, delay: float
) -> None:
    queue = solve(cores_in_use(concurrency, replicas, cpu, cpus) / service, delay)
    assert queue.throughput * queue.response_seconds == pytest.approx(concurrency)
    assert queue.throughput * service <= min(replicas * cpu, cpus, concurrency) * (1 + 1e-9)
    assert queue.inside.sum() == pytest.approx(1)
    # Little's law inside the replicas alone, and of those outside.
    mean_inside = float(queue.inside @ np.arange(concurrency + 1))
    inside_seconds = queue.response_seconds - delay
    assert queue.throughput * inside_seconds == pytest.approx(mean_inside, rel=1e-6, abs=1e-9)
    # No request is served faster than alone on a core or on its quota.
    assert inside_seconds >= service / min(cpu, 1) * (1 - 1e-6)


@given(concurrencies, replica_counts, quotas, host_sizes, services, delays)
def test_one_more_client_never_helps_the_others(
    concurrency: int, replicas: int, cpu: float, cpus: int, service: float, delay: float
) -> None:
    fewer, more = (
        solve(cores_in_use(n, replicas, cpu, cpus) / service, delay)
        for n in (concurrency, concurrency + 1)
    )
    assert more.response_seconds >= fewer.response_seconds * (1 - 1e-9)
    assert more.throughput >= fewer.throughput * (1 - 1e-9)


@given(concurrencies, replica_counts, quotas, host_sizes)
def test_cores_grow_with_what_is_given(
    concurrency: int, replicas: int, cpu: float, cpus: int
) -> None:
    cores = cores_in_use(concurrency, replicas, cpu, cpus)
    assert (np.diff(cores) >= -1e-12).all()
    assert (cores_in_use(concurrency, replicas, 2 * cpu, cpus) >= cores - 1e-12).all()
    assert (cores_in_use(concurrency, replicas, cpu, cpus + 1) >= cores - 1e-12).all()


def test_known_cases() -> None:
    # One client: its service and its delay, one after the other.
    assert solve([100.0], 0.005).response_seconds == pytest.approx(0.015)
    # Without delay all are always inside.
    assert solve([100.0, 100.0], 0.0).response_seconds == pytest.approx(0.02)
    # Two machines, one repairman, equal means: 1 + 2 + 2 states, P(idle) = 1/5.
    assert solve([1.0, 1.0], 1.0).inside == pytest.approx([0.2, 0.4, 0.4])
    # Enough cores for all: nobody waits.
    plenty = solve(cores_in_use(4, 4, 1.0, 8) / 0.01, 0.002)
    assert plenty.response_seconds == pytest.approx(0.012)


def test_cores_of_uneven_shares() -> None:
    # Five requests on two replicas: three on one (quota 2.5), two on the other.
    assert cores_in_use(5, 2, 2.5, 8).tolist() == [1, 2, 3, 4, 4.5]
    assert cores_in_use(5, 2, 2.5, 3).tolist() == [1, 2, 3, 3, 3]


@pytest.mark.parametrize(("rates", "delay"), [([], 0.1), ([0.0], 0.1), ([1.0], -0.1)])
def test_impossible_networks_are_refused(rates: list[float], delay: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        solve(rates, delay)


@given(losses, losses, concurrencies, services)
def test_loss_raises_the_response_time(
    one: float, other: float, concurrency: int, service: float
) -> None:
    low, high = sorted((one, other))
    rates = cores_in_use(concurrency, 2, 1.0, 4) / service
    less, more = (
        solve(rates, 0.001 + mean_retransmission_seconds(exchange_loss(x, x))) for x in (low, high)
    )
    assert more.response_seconds >= less.response_seconds * (1 - 1e-9)


def test_retransmission_delays_double() -> None:
    assert retransmission_seconds([0, 1, 2, 3]) == pytest.approx([0, 0.2, 0.6, 1.4])
    assert mean_retransmission_seconds(0) == 0


@given(losses, losses)
def test_an_exchange_arrives_when_both_its_packets_do(inward: float, outward: float) -> None:
    arrives = (1 - inward / 100) * (1 - outward / 100)
    assert exchange_loss(inward, outward) == pytest.approx(1 - arrives)
    assert exchange_loss(inward, 0) == pytest.approx(inward / 100)


@given(losses, losses)
def test_the_mean_is_that_of_the_distribution(inward: float, outward: float) -> None:
    lost = exchange_loss(inward, outward)
    k = np.arange(MAX_RETRANSMISSIONS + 1)
    probability = lost**k * np.where(k < MAX_RETRANSMISSIONS, 1 - lost, 1)
    assert probability.sum() == pytest.approx(1)
    mean = float(probability @ retransmission_seconds(k))
    assert math.isclose(mean_retransmission_seconds(lost), mean, rel_tol=1e-9, abs_tol=1e-12)
