"""Requests that do not succeed are counted by how they failed, and none is lost."""

import json
import socket
from dataclasses import replace

import numpy as np
import pytest

from tests.load.loopback import (
    BUSY,
    CALLS,
    LAST,
    NONSENSE,
    OK,
    QUICK,
    Place,
    Start,
    count,
    send,
)
from tuner.errors import TrialFailed
from tuner.load.burst_progress import BurstProgress
from tuner.load.sender import LoadGenerator
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import RequestOutcome
from tuner.spec.study import LoadProfile


def test_answers_that_are_not_200_are_counted(start: Start) -> None:
    target = start(reply=lambda n, _: BUSY if n % 3 == 0 else OK)
    burst = send(target)
    seen = len(target.server.bodies)
    assert len(burst.samples) == seen
    assert count(burst, RequestOutcome.HTTP_ERROR) == -(-seen // 3)
    assert set(
        burst.samples.status[burst.samples.outcome == RequestOutcome.HTTP_ERROR].tolist()
    ) == {503}


def test_resets_are_counted_and_the_connection_comes_back(start: Start) -> None:
    target = start(reply=lambda n, _: None if n % 10 == 5 else OK)
    burst = send(target)
    seen = len(target.server.bodies)
    resets = sum(1 for n in range(seen) if n % 10 == 5)
    assert len(burst.samples) == seen
    assert count(burst, RequestOutcome.RESET) == resets
    assert target.server.opened >= resets
    assert set(burst.samples.connection[-20:].tolist()) == {0, 1, 2, 3}
    # Only a request whose connection had to be opened again was sent later than it should have.
    assert 0 < np.count_nonzero(burst.samples.delay_ns) <= resets


def test_timeouts_are_counted_and_the_connection_comes_back(start: Start) -> None:
    target = start(reply=lambda n, _: b"" if n in {3, 30} else OK)
    spec = replace(QUICK, min_seconds=0.8, max_seconds=0.8, timeout_seconds=0.2)
    burst = send(target, concurrency=2, spec=spec)
    late = burst.samples.select(burst.samples.outcome == RequestOutcome.TIMEOUT)
    assert len(burst.samples) == len(target.server.bodies)
    assert len(late) >= 2
    assert late.duration_ns.min() >= 0.2e9
    assert set(late.status.tolist()) == {0}


def test_a_server_that_closes_after_each_answer_costs_no_error(start: Start) -> None:
    target = start(reply=lambda _n, _body: LAST)
    burst = send(target, concurrency=2)
    assert len(burst.samples) == len(target.server.bodies) == count(burst, RequestOutcome.OK)
    assert target.server.opened >= len(target.server.bodies)


def test_an_answer_that_is_not_http_is_an_error(start: Start) -> None:
    target = start(reply=lambda n, _: NONSENSE if n == 5 else OK)
    burst = send(target)
    wrong = burst.samples.select(burst.samples.outcome == RequestOutcome.HTTP_ERROR)
    assert wrong.status.tolist() == [0]


def test_wrong_answers_are_found_in_the_sample_that_is_checked(start: Start) -> None:
    checked: list[int] = []

    def check(request: int, body: bytes) -> bool:
        checked.append(request)
        return request != 1 and json.loads(body) == {}

    burst = send(start(), concurrency=64, check=check)
    assert count(burst, RequestOutcome.WRONG_ANSWER) == checked.count(1) > 0
    wrong = burst.samples.outcome == RequestOutcome.WRONG_ANSWER
    assert set(burst.samples.request[wrong].tolist()) == {1}


def test_a_server_that_dies_mid_burst_leaves_errors_not_a_hang(start: Start) -> None:
    target = start()

    def kill(progress: BurstProgress) -> None:
        if progress.phase == "window":
            target.die()

    burst = send(target, observe=kill, spec=replace(QUICK, min_seconds=0.4))
    assert len(burst.samples.select(burst.samples.outcome == RequestOutcome.OK)) > 0
    assert count(burst, RequestOutcome.RESET) >= 4
    assert burst.samples.outcome[-1] == RequestOutcome.RESET


def test_a_server_that_fails_all_ends_the_window_early(start: Start) -> None:
    spec = replace(QUICK, max_seconds=60.0)
    burst = send(start(reply=lambda _n, _body: BUSY), spec=spec)
    assert "failed" in burst.stop_reason
    assert measure_burst(burst, 1, 0.04).verdict == "INVALID"


def test_requests_cut_off_by_the_end_are_not_lost(start: Start) -> None:
    target = start(reply=lambda n, _: b"" if n == 40 else OK)
    burst = send(target)
    assert len(burst.samples) == len(target.server.bodies)
    end = burst.samples.start_ns + burst.samples.duration_ns
    cut = burst.samples.outcome == RequestOutcome.RESET
    assert np.count_nonzero(cut) == 1
    assert (end[cut] > burst.window_end_ns).all()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()

    with (
        pytest.raises(TrialFailed, match=f"cannot connect to 127.0.0.1:{address[1]}"),
        LoadGenerator().connect(Place([address]), LoadProfile(2, QUICK, 0), CALLS),
    ):
        pass
