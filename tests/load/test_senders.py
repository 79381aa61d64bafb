"""One load, sent by 1, 2 and 4 senders, against servers that log what they saw."""

import itertools
import math
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.load.loopback import BODIES, CALLS, OK, QUICK, Place, Running, Start, count, null_server
from tests.load.test_engine_process import children
from tuner.errors import TrialFailed
from tuner.load.any_server import AnyServer
from tuner.load.arrivals import Ramp, constant_gaps, due_times, first_of_trace, poisson_gaps
from tuner.load.burst_progress import BurstProgress
from tuner.load.division import connections_of
from tuner.load.load_client import CheckAnswer, ObserveProgress
from tuner.load.sender import LoadGenerator
from tuner.load.trace import replayed, trace_of
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, RequestOutcome
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec

SENDERS = pytest.mark.parametrize("senders", [1, 2, 4])
RATE = 300.0


@dataclass
class Log:
    """What a server wrote down of each request: when it was read and when it is answered."""

    read_ns: list[int] = field(default_factory=list)

    def reply(self, _number: int, _body: bytes) -> bytes:
        self.read_ns.append(time.perf_counter_ns())
        return OK


def send(
    target: Place,
    senders: int,
    concurrency: int = 5,
    spec: LoadSpec = QUICK,
    rate: float | None = None,
    check: CheckAnswer | None = None,
    observe: ObserveProgress | None = None,
) -> Burst:
    profile = LoadProfile(concurrency, spec, seed=7, rate_rps=rate, senders=senders)
    with LoadGenerator().connect(target, profile, CALLS, check=check) as client:
        return client.run(observe)


@SENDERS
def test_a_closed_loop_is_what_the_servers_log_says(start: Start, senders: int) -> None:
    log = Log()
    target = start(reply=log.reply)
    burst = send(target, senders)
    as_the_log_says(burst, target, log)


def as_the_log_says(burst: Burst, target: Running, log: Log, apart_ns: int = 0) -> None:
    """Assert it for a burst of 5 connections, from clocks that are so far apart at most."""
    samples = burst.samples
    # Every request of every sender once, and nothing else.
    assert len(samples) == len(target.server.bodies) == count(burst, RequestOutcome.OK)
    assert Counter(BODIES[i] for i in samples.request) == Counter(target.server.bodies)
    assert target.server.opened == 5
    end = samples.start_ns + samples.duration_ns
    assert (np.diff(end) >= 0).all()
    # Each connection of the whole load is one sender's, and has one request in flight.
    assert set(samples.connection.tolist()) == set(range(5))
    for connection in range(5):
        mine = samples.select(samples.connection == connection)
        assert (mine.start_ns[1:] >= (mine.start_ns + mine.duration_ns)[:-1]).all()
    # The server reads a request after it was sent, and answers before that was seen.
    assert (np.sort(log.read_ns) >= np.sort(samples.start_ns) - apart_ns).all()
    assert (np.sort(log.read_ns) <= np.sort(end) + apart_ns).all()
    # The window holds what the server's log has in it, but for what was under way at its ends.
    read = np.array(log.read_ns)
    logged = np.count_nonzero((read >= burst.window_start_ns) & (read < burst.window_end_ns))
    measured = measure_burst(burst, 1, QUICK.batch_seconds)
    assert abs(logged - measured.requests) <= 5
    assert measured.warmup_requests + measured.requests <= len(samples)


@SENDERS
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_open_loop_is_due_when_one_sender_would_send_it(
    start: Start, senders: int, arrivals: str
) -> None:
    target = start()
    burst = send(target, senders, 8, replace(QUICK, arrivals=arrivals), RATE)  # type: ignore[arg-type]
    samples = burst.samples
    gaps = constant_gaps(7) if arrivals == "constant" else poisson_gaps(7)
    schedule = due_times(gaps, [Ramp(math.inf, RATE, RATE)])
    expected = np.diff(list(itertools.islice(schedule, len(samples)))) * 1e9
    order = np.argsort(samples.start_ns, kind="stable")
    due = samples.start_ns[order]
    # Senders stop one after another: the last request or two may be missing in between.
    certain = len(due) - 2 * senders
    assert np.abs(np.diff(due) - expected)[:certain].max() <= 1
    inputs = samples.request[order][:certain]
    again = send(start(), 1, 8, replace(QUICK, arrivals=arrivals), RATE).samples  # type: ignore[arg-type]
    alone = again.request[np.argsort(again.start_ns, kind="stable")]
    both = min(len(inputs), len(alone) - 2)
    assert (inputs[:both] == alone[:both]).all()
    sent = samples.outcome != RequestOutcome.NOT_SENT
    assert np.count_nonzero(sent) == len(target.server.bodies)


@SENDERS
def test_what_each_sender_did_is_told(start: Start, senders: int) -> None:
    burst = send(start(), senders)
    assert burst.client["senders"] == senders
    assert len(burst.client_start) == len(burst.client_end) == senders
    for before, after in zip(burst.client_start, burst.client_end, strict=True):
        assert after.cpu_ns > before.cpu_ns
        # Each has read its counters by the tick that ends the phase, none before it.
        assert before.time_ns >= burst.window_start_ns
        assert after.time_ns >= burst.window_end_ns
    measurement = measure_burst(burst, 1, QUICK.batch_seconds)
    each = measurement.client.get("sender", [])
    assert len(each) == (senders if senders > 1 else 0)
    if each:
        busiest = max(one["cpu_percent"] for one in each)
        assert measurement.metrics["client_cpu_percent"].value == busiest


def test_every_sender_reaches_every_replica(start: Start) -> None:
    one, two = start(), start()
    one.addresses += two.addresses
    samples = send(one, 2, 4).samples
    for sender in range(2):
        mine = samples.select(np.isin(samples.connection, connections_of(sender, 2, 4, 2)))
        assert set(mine.replica.tolist()) == {0, 1}
    assert (samples.replica == samples.connection % 2).all()
    assert np.count_nonzero(samples.replica == 0) == len(one.server.bodies)
    assert np.count_nonzero(samples.replica == 1) == len(two.server.bodies)


def test_no_more_senders_than_connections(start: Start) -> None:
    burst = send(start(), 4, concurrency=2)
    assert burst.client["senders"] == len(burst.client_end) == 2


def test_answers_of_every_sender_are_checked(start: Start) -> None:
    checked: list[int] = []

    def check(request: int, _: bytes) -> bool:
        checked.append(request)
        return request != 1

    burst = send(start(), 3, concurrency=48, check=check)
    wrong = burst.samples.outcome == RequestOutcome.WRONG_ANSWER
    assert np.count_nonzero(wrong) == checked.count(1) > 0
    assert set(burst.samples.request[wrong].tolist()) == {1}
    # The first answer of each connection is kept, whoever has it.
    assert len(checked) >= 48


def test_a_trace_is_replayed_in_order(start: Start) -> None:
    bodies = [b'{"n":%d}' % n for n in range(20)]
    times = [0.01 * n + 0.002 * (n % 3) for n in range(20)]
    spec = replace(QUICK, arrivals="trace")
    profile = replayed(LoadProfile(6, spec, seed=7, senders=2), trace_of(times, "here"))
    with LoadGenerator().connect(start(), profile, [Call("/", b) for b in bodies]) as client:
        samples = client.run().samples
    order = np.argsort(samples.start_ns, kind="stable")[: len(samples) - 4]
    first = first_of_trace(20, 7)
    assert samples.request[order].tolist() == [(first + n) % 20 for n in range(len(order))]


def test_senders_together_send_no_more_than_they_may() -> None:
    profile = LoadProfile(4, replace(QUICK, min_requests=1), seed=7, senders=2)
    server = AnyServer(most_rps=100.0)
    with (
        null_server() as (_, target),
        LoadGenerator().connect(target, profile, CALLS, server=server) as client,
    ):
        samples = client.run().samples
    for sender in range(2):
        mine = np.isin(samples.connection, connections_of(sender, 2, 4, 1))
        starts = np.sort(samples.start_ns[mine])
        # The event loop's timer may ring a millisecond early, the sum of many gaps never.
        fewest = 20e6 * (len(starts) - 1) - 2e6
        assert starts[-1] - starts[0] >= fewest > 0


def test_progress_is_that_of_all_senders(start: Start) -> None:
    seen: list[BurstProgress] = []
    target = start()
    burst = send(target, 2, observe=seen.append)
    last = seen[-1]
    assert last.phase == "window"
    assert 0 < last.requests <= len(burst.samples)
    assert {p.phase for p in seen} == {"warm-up", "window"}


def test_a_sender_that_is_killed_fails_the_trial_and_ends_the_others(start: Start) -> None:
    def kill(_: BurstProgress) -> None:
        os.kill(min(children() - before), signal.SIGKILL)

    before = children()
    with pytest.raises(TrialFailed, match="ended unexpectedly"):
        send(start(), 3, observe=kill)
    assert children() == before


def test_a_sender_that_cannot_connect_leaves_no_other(start: Start) -> None:
    target = start()
    before = children()
    nobody = null_server()
    with nobody as (_, gone):
        pass
    target.addresses += gone.addresses
    profile = LoadProfile(2, QUICK, seed=7, senders=2)
    with (
        pytest.raises(TrialFailed, match="cannot connect"),
        LoadGenerator().connect(target, profile, CALLS),
    ):
        pass
    assert children() == before
