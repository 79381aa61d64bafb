"""An open loop against servers whose behaviour is known."""

import itertools
import math
import re
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.load.loopback import LAST, OK, QUICK, Start, count, null_server, send
from tuner.errors import InputError
from tuner.load.arrivals import Ramp, due_times, poisson_gaps
from tuner.load.burst_progress import BurstProgress
from tuner.load.sender import LoadGenerator
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, RequestOutcome
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec

CONSTANT = replace(QUICK, arrivals="constant")
POISSON = replace(QUICK, arrivals="poisson")
RATE = 200.0
GAP_NS = 5_000_000


def gaps_ns(burst: Burst) -> npt.NDArray[np.int64]:
    due = np.sort(burst.samples.start_ns)
    return due[1:] - due[:-1]


def test_a_constant_rate_is_kept(start: Start) -> None:
    target = start()
    burst = send(target, spec=CONSTANT, rate=RATE)
    # To the nanosecond: what is counted from is when a request was due, not when it was sent.
    assert np.abs(gaps_ns(burst) - GAP_NS).max() <= 1
    assert count(burst, RequestOutcome.OK) == len(burst.samples) == len(target.server.bodies)
    assert (burst.samples.delay_ns >= 0).all()
    assert (burst.samples.delay_ns <= burst.samples.duration_ns).all()
    assert burst.rate_rps == RATE


def test_poisson_arrivals_are_those_of_the_seed(start: Start) -> None:
    burst = send(start(), spec=POISSON, rate=RATE)
    times = due_times(poisson_gaps(7), [Ramp(math.inf, RATE, RATE)])
    expected = np.diff(list(itertools.islice(times, len(burst.samples)))) * 1e9
    assert np.abs(gaps_ns(burst) - expected).max() <= 1


def test_a_stall_is_seen_in_full(start: Start) -> None:
    stalls: list[tuple[int, int]] = []

    def reply(number: int, _: bytes) -> bytes:
        if number == 100:
            began = time.perf_counter_ns()
            time.sleep(0.2)
            stalls.append((began, time.perf_counter_ns()))
        return OK

    spec = replace(CONSTANT, min_seconds=0.8, max_seconds=0.8)
    seen: list[BurstProgress] = []
    burst = send(start(reply=reply), spec=spec, rate=RATE, observe=seen.append)
    ((began, ended),) = stalls
    samples = burst.samples
    during = (samples.start_ns >= began) & (samples.start_ns <= ended)
    # All that fell due meanwhile are there, although there are only four connections ...
    assert np.count_nonzero(during) >= (ended - began) // GAP_NS
    # ... and none had its answer before the stall was over, counted from when it was due.
    assert (samples.start_ns + samples.duration_ns)[during].min() >= ended
    # Those beyond the four connections were sent only after it.
    late = samples.delay_ns > 1_000_000
    assert np.count_nonzero(late & during) >= (ended - began) // GAP_NS - 4
    assert seen[-1].late_share is not None
    assert seen[-1].late_share > 0
    assert measure_burst(burst, 1, 0.04).metrics["late_percent"].value > 0


def test_what_waits_at_the_end_is_not_lost(start: Start) -> None:
    target = start(reply=lambda n, _: OK if n < 60 else b"")
    seen: list[BurstProgress] = []
    burst = send(target, concurrency=2, spec=CONSTANT, rate=RATE, observe=seen.append)
    samples = burst.samples
    assert np.abs(gaps_ns(burst) - GAP_NS).max() <= 1
    assert len(target.server.bodies) == len(samples) - count(burst, RequestOutcome.NOT_SENT)
    unsent = samples.select(samples.outcome == RequestOutcome.NOT_SENT)
    assert len(unsent) > 5
    for column in (unsent.connection, unsent.replica, unsent.request):
        assert set(column.tolist()) == {-1}
    assert (unsent.delay_ns == unsent.duration_ns).all()
    end = unsent.start_ns + unsent.duration_ns
    assert (end >= burst.window_end_ns).all()
    assert np.ptp(end) <= 1
    assert count(burst, RequestOutcome.RESET) == 2


def test_a_timeout_counts_from_when_a_request_was_sent(start: Start) -> None:
    spec = replace(CONSTANT, min_seconds=0.8, max_seconds=0.8, timeout_seconds=0.2)
    target = start(reply=lambda n, _: b"" if n == 30 else OK)
    samples = send(target, concurrency=1, spec=spec, rate=RATE).samples
    late = samples.select(samples.outcome == RequestOutcome.TIMEOUT)
    assert len(late) == 1
    assert (late.duration_ns - late.delay_ns).min() >= 0.2e9
    # Those that waited for the connection meanwhile were sent when it was there again.
    waited = samples.select((samples.outcome == RequestOutcome.OK) & (samples.delay_ns > 0.1e9))
    assert len(waited) > 0


def test_a_server_that_is_too_slow_is_sent_to_late(start: Start) -> None:
    seen: list[BurstProgress] = []
    target = start(seconds=0.02)
    burst = send(target, concurrency=1, spec=CONSTANT, rate=RATE, observe=seen.append)
    assert all(p.late_share is not None and 0 <= p.late_share <= 1 for p in seen)
    assert seen[-1].late_share is not None
    assert seen[-1].late_share > 0.5
    # First come, first served: each waits for longer than the one before.
    samples = burst.samples
    sent = samples.select(samples.outcome == RequestOutcome.OK)
    assert (np.diff(sent.start_ns) > 0).all()
    assert (np.diff(sent.delay_ns[1:]) > 0).all()


def test_a_rate_that_is_over_saturated_ends_early_and_says_so(start: Start) -> None:
    burst = send(
        start(seconds=0.05), concurrency=1, spec=replace(CONSTANT, max_seconds=30.0), rate=RATE
    )
    assert re.fullmatch(
        r"over-saturated: \d+ of \d+ requests/s were answered, so the backlog grows",
        burst.cut_short,
    )
    assert "cut short after" in burst.stop_reason
    assert burst.saved_seconds > 0


def test_replicas_share_evenly(start: Start) -> None:
    one, two = start(), start()
    one.addresses += two.addresses
    samples = send(one, concurrency=8, spec=CONSTANT, rate=RATE).samples
    assert abs(np.count_nonzero(samples.replica == 0) - len(samples) / 2) <= 8
    assert set(samples.connection.tolist()) >= set(range(8))


def test_connections_that_are_lost_come_back(start: Start) -> None:
    target = start(reply=lambda n, _: None if n % 10 == 5 else LAST)
    burst = send(target, spec=CONSTANT, rate=RATE)
    sent = burst.samples.outcome != RequestOutcome.NOT_SENT
    resets = sum(1 for n in range(len(target.server.bodies)) if n % 10 == 5)
    assert np.count_nonzero(sent) == len(target.server.bodies)
    assert count(burst, RequestOutcome.RESET) == resets
    assert count(burst, RequestOutcome.OK) > 0


def test_a_server_that_dies_leaves_errors_not_a_hang(start: Start) -> None:
    target = start()

    def kill(progress: BurstProgress) -> None:
        if progress.phase == "window":
            target.die()

    spec = replace(CONSTANT, min_seconds=0.4)
    burst = send(target, concurrency=2, spec=spec, rate=RATE, observe=kill)
    assert count(burst, RequestOutcome.OK) > 0
    assert count(burst, RequestOutcome.RESET) > 2
    assert np.abs(gaps_ns(burst) - GAP_NS).max() <= 1


def test_thousands_a_second_are_all_accounted_for() -> None:
    rate = 4000.0
    with null_server() as (_, target):
        burst = send(target, concurrency=32, spec=POISSON, rate=rate)
    times = due_times(poisson_gaps(7), [Ramp(math.inf, rate, rate)])
    expected = np.diff(list(itertools.islice(times, len(burst.samples)))) * 1e9
    assert np.abs(gaps_ns(burst) - expected).max() <= 1


@pytest.mark.parametrize(("spec", "rate"), [(QUICK, 10.0), (CONSTANT, 0.0), (POISSON, -1.0)])
def test_a_rate_that_means_nothing(start: Start, spec: LoadSpec, rate: float) -> None:
    profile = LoadProfile(1, spec, seed=0, rate_rps=rate)
    with (
        pytest.raises(InputError, match="requests/s with"),
        LoadGenerator().connect(start(), profile, [Call("/", b"1")]),
    ):
        pass
