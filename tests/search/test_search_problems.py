from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.search_network import Model, normalisation, serve, throughput
from benchmarks.search_problems import JUDGED, SETTINGS, TUNED, problem
from tuner.arrays import Floats
from tuner.spec.space import Configuration

# The network.


def factors(demand: float, rates: list[float]) -> Floats:
    return np.concatenate([[1.0], np.cumprod(demand / np.array(rates))])


@given(
    st.integers(1, 5),
    st.lists(st.floats(0.1, 5), min_size=1, max_size=3),
    st.floats(0.5, 2),
)
def test_convolution_is_the_sum_over_all_states(
    population: int, demands: list[float], rate: float
) -> None:
    rates = [rate * n**0.5 for n in range(1, population + 1)]
    stations = [factors(d, rates) for d in demands]
    states = itertools.product(range(population + 1), repeat=len(stations))
    total = sum(
        math.prod(f[n] for f, n in zip(stations, state, strict=True))
        for state in states
        if sum(state) == population
    )
    found = normalisation([(f, 1) for f in stations], population)
    assert found[population] == pytest.approx(total)


@given(st.integers(1, 20), st.floats(0.1, 5), st.floats(0.1, 5), st.integers(1, 4))
def test_throughput_is_that_of_mean_value_analysis(
    population: int, think: float, demand: float, servers: int
) -> None:
    # Exact MVA of queues of one server (Reiser and Lavenberg, 1980), another way to the same.
    lengths = np.zeros(servers)
    rate = 0.0
    for n in range(1, population + 1):
        responses = demand * (1 + lengths)
        rate = n / (think + responses.sum())
        lengths = rate * responses
    away = np.concatenate([[1.0], np.cumprod(think / np.arange(1, population + 1))])
    queue = factors(demand, [1.0] * population)
    assert throughput([(away, 1), (queue, servers)], population) == pytest.approx(rate)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 6),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 1.0, 4.0]),
    st.sampled_from([2.0, 4.0]),
)
def test_a_host_gives_no_more_than_it_has(
    concurrency: int, replicas: int, cpu: float, loss: float, cpus: float
) -> None:
    model = Model(service_ms=5.0, base_mib=1.0, request_mib=1.0)
    found = serve(model, cpus, concurrency=concurrency, replicas=replicas, cpu=cpu, loss=loss)
    busy = found.cores - replicas * model.idle_cores
    assert 0 < found.speed <= 1
    assert busy <= min(replicas * cpu, cpus) * 1.05
    assert found.response_ms > model.service_ms
    more = serve(model, 2 * cpus, concurrency=concurrency, replicas=replicas, cpu=cpu, loss=loss)
    assert more.response_ms <= found.response_ms * (1 + 1e-6)


def test_a_request_alone_waits_for_its_own_retransmissions() -> None:
    model = Model(service_ms=5.0, base_mib=1.0, request_mib=1.0)
    clean, lossy = (
        serve(model, 4.0, concurrency=1, replicas=1, cpu=1.0, loss=loss) for loss in (0.0, 1.0)
    )
    # Two packets at 1 %: q = 0.0199, and 200 ms x q / (1 - 2 q).
    assert lossy.response_ms - clean.response_ms == pytest.approx(4.145, rel=0.02)
    assert lossy.cores < clean.cores


# The problems.


@pytest.mark.parametrize("name", JUDGED)
def test_what_is_judged_is_a_grid_of_2880_that_costs_6240_seconds(name: str) -> None:
    found = problem(name)
    assert len(found.truth) == len(found.configurations) == 2880
    assert len(found.scenarios) == 30
    assert found.grid_seconds == 96 * 5 + 2880 * 2


@pytest.mark.parametrize("name", SETTINGS)
def test_more_memory_never_takes_feasibility_away(name: str) -> None:
    found = problem(name)
    seen: dict[Configuration, list[bool]] = {}
    # Memory ascends within a lattice where all else is the same.
    for at, able in zip(found.configurations, found.feasible, strict=True):
        rest = Configuration.of({n: v for n, v in at.items() if n != "memory"})
        seen.setdefault(rest, []).append(bool(able))
    assert all(a <= b for group in seen.values() for a, b in itertools.pairwise(group))
    assert 0.3 < found.feasible.mean() < 1
    assert found.feasible[found.lattice.index(found.space.baseline())]


def test_what_is_tuned_on_is_not_what_is_judged() -> None:
    for tuned, judged in itertools.product(TUNED, JUDGED):
        one, other = SETTINGS[tuned], SETTINGS[judged]
        assert one.model != other.model
        assert one.seed != other.seed
        assert one.host_cpus != other.host_cpus
        for grid in ("concurrency", "cpu", "memory", "replicas", "loss"):
            assert getattr(one, grid) != getattr(other, grid)


def test_the_truth_is_the_same_in_every_process_and_deviates_from_the_network() -> None:
    first = problem("A").truth
    problem.cache_clear()
    np.testing.assert_array_equal(problem("A").truth, first)
    for name, deviation in (("A", 0.1), ("D", 0.3)):
        found, setting = problem(name), SETTINGS[name]
        ratios = [
            found.truth[i, 0]
            / serve(
                setting.model,
                setting.host_cpus,
                concurrency=int(at["concurrency"]),
                replicas=int(at["replicas"]),
                cpu=float(at["cpu"]),
                loss=float(at["loss"]),
            ).response_ms
            for i, at in itertools.islice(enumerate(found.configurations), 0, None, 7)
            if found.feasible[i]
        ]
        assert np.std(np.log(ratios)) == pytest.approx(deviation, rel=0.2)


def test_noise_is_log_normal_and_its_reported_size_honest_on_average() -> None:
    found, rng = problem("A"), np.random.default_rng(0)
    worst = found.lattice.index({**found.space.baseline(), "loss": 5.0})
    assert worst is not None
    several = [found.measure(worst, rng) for _ in range(2000)]
    logs = np.log([m.values for m in several if m is not None])
    said = np.array([m.relative_sd for m in several if m is not None])
    np.testing.assert_allclose(logs.mean(axis=0), found.logs[worst], atol=0.01)
    np.testing.assert_allclose(np.sqrt((said**2).mean(axis=0)), logs.std(axis=0), rtol=0.06)
    assert (logs.std(axis=0) * 1.05 >= 0.03).all()
    assert (logs.std(axis=0) < 0.15).all()
    assert said.std() > 0.005
