from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backends.simulations import (
    HOST,
    art_ms,
    at,
    counted,
    cpu_percent,
    deployment_spec,
    seconds,
    sent,
)
from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.backends.simulated_host import SimulatedHost, Workload
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import Infeasible
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import RequestOutcome
from tuner.spec.space import Configuration
from tuner.spec.study import (
    LoadProfile,
    LoadSpec,
    NetworkSpec,
)


def test_it_has_the_interface_of_a_deployer() -> None:
    deployer: Deployer = SimulatedDeployer(HOST, seed=1)
    with deployer, deployer.deploy(deployment_spec(at()), "trial 0") as deployment:
        checked: Deployment = deployment
        assert len(checked.addresses) == len(checked.counters()) == 2
        assert (checked.model_name, checked.host_cpus) == ("mnist", 4)


def test_everything_says_simulated() -> None:
    deployer = SimulatedDeployer(HOST, seed=1)
    assert deployer.name == "simulated"
    assert deployer.environment()["backend"] == "simulated"
    with (
        deployer.deploy(deployment_spec(at()), "t") as deployment,
        deployment.impair(NetworkSpec()) as none,
    ):
        assert deployment.facts()["backend"] == "simulated"
        assert deployment.facts()["ignored_flags"] == {"tensorflow_intra_op_parallelism": "2"}
        assert none.facts()["method"] == "simulated"
        assert none.facts()["rules"] == []
        assert {c.source for c in deployment.counters()} == {"simulated"}
        json.dumps([deployer.environment(), deployment.facts(), none.facts()])
    assert sent(at()).stop_reason.startswith("simulated: ")


@pytest.mark.parametrize(
    "configuration",
    [
        at(),
        at(concurrency=1, replicas=1),
        at(concurrency=32, cpu=0.25),
        at(concurrency=32, cpu=2.0, replicas=8),
        at(loss=1.0),
        at(concurrency=32, loss=5.0),
    ],
    ids=str,
)
def test_bursts_scatter_around_the_truth(configuration: Configuration) -> None:
    deployer = SimulatedDeployer(HOST, seed=3)
    truth = deployer.host.expected(configuration)
    assert truth is not None
    load = LoadSpec(min_seconds=8.0, max_seconds=8.0)
    bursts = [sent(configuration, deployer, load) for _ in range(20)]
    found = np.array([(art_ms(b), cpu_percent(b)) for b in bursts])
    assert np.exp(np.log(found).mean(axis=0)) == pytest.approx(truth, rel=0.05)
    assert (np.abs(np.log(found / truth)) < 0.5).all()
    assert np.log(found[:, 0]).std() > 0.01  # repeats differ


@pytest.mark.parametrize(
    "configuration",
    [at(), at(concurrency=32, cpu=0.25), at(concurrency=1, replicas=4), at(loss=5.0)],
    ids=str,
)
def test_a_burst_is_one_that_can_be_measured(configuration: Configuration) -> None:
    burst = sent(configuration)
    measurement = measure_burst(burst, HOST.cpus, LoadSpec().batch_seconds)
    assert measurement.verdict != "INVALID"  # Little's law, the client's CPU
    assert measurement.metrics["art_ms"].value == pytest.approx(art_ms(burst))
    assert measurement.metrics["cpu_percent"].value == pytest.approx(cpu_percent(burst))
    assert measurement.metrics["memory_peak_mib"].value > 60
    assert measurement.requests == len(counted(burst))
    assert measurement.warmup_requests > 0


def test_samples_are_a_closed_loop() -> None:
    burst = sent(at(concurrency=6, replicas=4))
    samples = burst.samples
    end = samples.start_ns + samples.duration_ns
    assert (np.diff(end) >= 0).all()  # in order of completion
    assert set(samples.connection.tolist()) == set(range(6))
    assert (samples.replica == samples.connection % 4).all()
    assert (samples.outcome == RequestOutcome.OK).all()
    assert (samples.status == 200).all()
    for connection in range(6):
        mine = samples.connection == connection
        # The next request leaves when the last is answered.
        assert (samples.start_ns[mine][1:] == end[mine][:-1]).all()
    counters = [*burst.counters_start, *burst.counters_end]
    assert {c.time_ns for c in counters} == {burst.window_start_ns, burst.window_end_ns}


def test_the_first_requests_of_a_replica_are_slow_and_not_counted() -> None:
    burst = sent(at(concurrency=4, replicas=2))
    for replica in range(2):
        mine = burst.samples.select(burst.samples.replica == replica)
        first = np.sort(mine.start_ns + mine.duration_ns)[:2]
        assert (first < burst.window_start_ns).all()
        cold = mine.select(mine.connection == replica).duration_ns[:2]
        assert cold.mean() > 2 * np.median(mine.duration_ns)


def test_the_window_follows_the_stop_rule() -> None:
    exact = LoadSpec(min_seconds=2.0, max_seconds=6.0, precision=0.0001)
    assert seconds(sent(at(), load=exact)) == 6
    assert "time limit" in sent(at(), load=exact).stop_reason
    rough = LoadSpec(min_seconds=0.9, max_seconds=6.0, precision=0.5, min_requests=100)
    assert seconds(sent(at(), load=rough)) == 0.9
    many = LoadSpec(min_seconds=1.0, max_seconds=6.0, precision=0.5, min_requests=5000)
    assert seconds(sent(at(), load=many)) > 2
    assert len(counted(sent(at(), load=many))) >= 5000


def test_noise_depends_on_seed_configuration_and_repeat_alone() -> None:
    def run(seed: int) -> list[float]:
        deployer = SimulatedDeployer(HOST, seed)
        return [art_ms(sent(c, deployer)) for c in (at(), at(), at(cpu=2.0))]

    first, again, other = run(1)
    assert run(1) == [first, again, other]
    assert first != again
    assert run(2)[0] != first
    # What was measured before has no influence: a resumed study sees the same world.
    assert art_ms(sent(at(cpu=2.0), SimulatedDeployer(HOST, 1))) == other


def test_loss_shows_in_the_rules_and_in_the_response_times() -> None:
    deployer = SimulatedDeployer(HOST, seed=1)
    profile = LoadProfile(8, LoadSpec(), 0)
    with (
        deployer.deploy(deployment_spec(at()), "t") as deployment,
        SimulatedSender().connect(deployment, profile, [b""]) as client,
    ):
        with deployment.impair(NetworkSpec(loss_in=5, loss_out=2)) as impairment:
            lossy = client.run()
        clean = client.run()
        found = impairment.drops()
    assert [(d.replica, d.direction, d.asked_percent) for d in found] == [
        (replica, *way) for replica in (0, 1) for way in (("in", 5), ("out", 2))
    ]
    for direction, share in (("in", 0.05), ("out", 0.02)):
        packets, dropped = (
            sum(getattr(d, name) for d in found if d.direction == direction)
            for name in ("packets", "dropped")
        )
        assert dropped / packets == pytest.approx(share, abs=0.01)
    assert lossy.samples.duration_ns.max() > 200e6
    assert clean.samples.duration_ns.max() < 200e6
    assert art_ms(lossy) > art_ms(clean) + 10
    # The second burst goes on where the first one ended.
    assert clean.counters_start[0].cpu_ns >= lossy.counters_end[0].cpu_ns


def test_long_waits_are_timeouts() -> None:
    burst = sent(at(loss=20.0), load=LoadSpec(timeout_seconds=0.5))
    late = burst.samples.select(burst.samples.outcome == RequestOutcome.TIMEOUT)
    assert len(late) > 0
    assert (late.status == 0).all()
    assert burst.samples.duration_ns.max() == 500_000_000


def test_a_quota_throttles() -> None:
    tight, wide = sent(at(concurrency=16, cpu=0.5)), sent(at(concurrency=2, cpu=2.0))
    for burst, throttled in ((tight, True), (wide, False)):
        start, end = burst.counters_start[0], burst.counters_end[0]
        assert end.periods - start.periods == round(seconds(burst) * 10)
        assert (end.throttled_periods > start.throttled_periods) is throttled
    assert cpu_percent(tight) == pytest.approx(25, rel=0.15)


def test_too_little_memory_for_the_model_is_infeasible_at_once() -> None:
    deployer = SimulatedDeployer(HOST, seed=1)
    spec = deployment_spec(at(memory=32))
    with pytest.raises(Infeasible, match="trial 7") as raised, deployer.deploy(spec, "trial 7"):
        pytest.fail("deployed")
    assert raised.value.kind == "out of memory"


def test_too_little_memory_for_the_load_kills_within_the_burst() -> None:
    deployer = SimulatedDeployer(HOST, seed=1)
    little = at(concurrency=32, replicas=1, memory=128)
    assert deployer.host.expected(little) is None
    with (
        deployer.deploy(deployment_spec(little), "t") as deployment,
        SimulatedSender().connect(deployment, LoadProfile(32, LoadSpec(), 0), []) as client,
    ):
        deployment.verify()  # idle, it lives
        burst = client.run()
        with pytest.raises(Infeasible, match="128 MiB") as raised:
            deployment.verify()
    assert raised.value.kind == "out of memory"
    assert np.count_nonzero(burst.samples.outcome == RequestOutcome.RESET) == 32
    assert burst.counters_end[0].oom_kills == 1
    assert burst.counters_end[0].memory_peak_bytes == 128 * 2**20


@given(
    st.integers(1, 32),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    st.integers(1, 8),
    st.sampled_from([64, 128, 512]),
    st.sampled_from([0.0, 1.0, 5.0]),
)
def test_the_truth_makes_sense(
    concurrency: int, cpu: float, replicas: int, memory: int, loss: float
) -> None:
    host = SimulatedHost(HOST, Workload())
    here = at(concurrency=concurrency, cpu=cpu, replicas=replicas, memory=memory, loss=loss)
    truth = host.expected(here)
    if truth is None:
        assert host.working_set_mib(concurrency, replicas) > memory
        assert host.expected(at(**{**here, "memory": 4096})) is not None
        return
    art, percent = truth
    assert art >= host.workload.service_ms + host.workload.network_ms - 1e-9
    assert 0 < percent <= 100
    assert percent / 100 * HOST.cpus <= replicas * (cpu + host.workload.idle_cores) + 1e-9
    worse = host.expected(at(**{**here, "loss": loss + 1}))
    busier = host.expected(at(**{**here, "concurrency": concurrency + 1, "memory": 4096}))
    assert worse is not None
    assert worse[0] >= art * (1 - 1e-9)  # equal where requests only queue elsewhere
    assert busier is not None
    assert busier[0] >= art * (1 - 1e-9)


def test_only_simulated_deployments_are_sent_to() -> None:
    sender = SimulatedSender()
    profile = LoadProfile(1, LoadSpec(), 0)
    with (
        pytest.raises(TypeError, match="simulated deployments only"),
        sender.connect(object(), profile, []),  # type: ignore[arg-type] # what is refused
    ):
        pytest.fail("connected")
