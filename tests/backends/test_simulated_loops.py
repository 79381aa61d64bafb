from __future__ import annotations

import numpy as np
import pytest

from tests.backends.simulations import HOST, art_ms, at, counted, deployment_spec, seconds, sent
from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.errors import SetupError
from tuner.measure.samples import Burst, RequestOutcome
from tuner.spec.study import (
    Arrivals,
    LoadProfile,
    LoadSpec,
    NetworkSpec,
    Stage,
)


def burst_of(profile: LoadProfile, network: NetworkSpec | None = None) -> Burst:
    deployer = SimulatedDeployer(HOST, seed=2)
    with (
        deployer.deploy(deployment_spec(at()), "t") as deployment,
        SimulatedSender().connect(deployment, profile, [b""]) as client,
        deployment.impair(network or NetworkSpec()),
    ):
        return client.run()


def test_delay_is_added_in_each_direction_and_jitter_spreads_it() -> None:
    profile = LoadProfile(1, LoadSpec(min_seconds=8, max_seconds=8), 0)
    plain = burst_of(profile)
    late = burst_of(profile, NetworkSpec(delay_ms=20))
    spread = burst_of(profile, NetworkSpec(delay_ms=20, jitter_ms=5))
    assert art_ms(late) - art_ms(plain) == pytest.approx(40, abs=1)
    assert art_ms(spread) == pytest.approx(art_ms(late), abs=1)
    assert counted(spread).duration_ns.std() / 1e6 == pytest.approx(5 * 2**0.5, rel=0.1)


def test_a_bandwidth_cannot_be_simulated_and_says_so() -> None:
    with pytest.raises(SetupError, match="no bandwidth"):
        burst_of(LoadProfile(8, LoadSpec(), 0), NetworkSpec(bandwidth_mbit=10))


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_open_loop_keeps_its_rate(arrivals: Arrivals) -> None:
    load = LoadSpec(min_seconds=8, max_seconds=8, arrivals=arrivals)
    burst = burst_of(LoadProfile(64, load, 0, rate_rps=300))
    assert len(counted(burst)) == pytest.approx(2400, rel=0.1)
    gaps = np.diff(np.sort(burst.samples.start_ns)) / 1e9
    assert gaps.mean() == pytest.approx(1 / 300, rel=0.1)
    spread = {"constant": 0.0, "poisson": 1 / 300}
    assert gaps.std() == pytest.approx(spread[arrivals], abs=0.0005)
    assert burst.rate_rps == 300
    assert (burst.samples.delay_ns == 0).mean() > 0.95
    # With few in flight a request takes about its own service and the network.
    assert art_ms(burst) == pytest.approx(1.45, rel=0.15)


def test_an_open_loop_beyond_the_capacity_waits_and_leaves_requests_unsent() -> None:
    load = LoadSpec(min_seconds=2, max_seconds=2, warmup_max_seconds=1, arrivals="constant")
    burst = burst_of(LoadProfile(4, load, 0, rate_rps=20_000))
    assert burst.cut_short.startswith("over-saturated: ")
    assert burst.saved_seconds > 0
    assert burst.window_end_ns - burst.window_start_ns < 2e9
    samples = burst.samples
    unsent = samples.select(samples.outcome == RequestOutcome.NOT_SENT)
    assert len(unsent) > 1000
    assert set(unsent.connection.tolist()) == set(unsent.replica.tolist()) == {-1}
    assert (unsent.start_ns + unsent.duration_ns == burst.window_end_ns).all()
    done = samples.select(samples.outcome == RequestOutcome.OK)
    assert (done.duration_ns >= done.delay_ns).all()
    # No connection has two requests at once.
    for connection in range(4):
        mine = done.select(done.connection == connection)
        begins, ends = mine.start_ns + mine.delay_ns, mine.start_ns + mine.duration_ns
        order = np.argsort(begins)
        assert (begins[order][1:] >= ends[order][:-1]).all()


def test_cpu_is_read_at_the_end_of_each_batch() -> None:
    burst = sent(at(replicas=3))
    batch_ns = round(LoadSpec().batch_seconds * 1e9)
    assert burst.cpu.time_ns.shape == burst.cpu.cpu_ns.shape
    assert burst.cpu.time_ns.shape[1] == 3
    assert (np.diff(burst.cpu.time_ns, axis=0) == batch_ns).all()
    assert (np.diff(burst.cpu.cpu_ns, axis=0) > 0).all()
    assert burst.cpu.cpu_ns[-1].tolist() == [c.cpu_ns for c in burst.counters_end]
    assert burst.saved_seconds == pytest.approx(LoadSpec().max_seconds - seconds(burst))


def test_stages_are_explored_at_their_middle_level() -> None:
    deployer = SimulatedDeployer(HOST, seed=2)
    stages = [Stage(2.0, 4, 4), Stage(3.0, 4, 12)]
    with (
        deployer.deploy(deployment_spec(at()), "t") as deployment,
        SimulatedSender().connect(deployment, LoadProfile(16, LoadSpec(), 0), [b""]) as client,
    ):
        found = client.explore(stages)
    assert [burst.concurrency for burst in found] == [4, 8]
    assert [seconds(burst) for burst in found] == pytest.approx([2.1, 3.0])
    assert all("stage" in burst.stop_reason for burst in found)
