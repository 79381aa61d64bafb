"""A closed loop against a loopback server: what is sent, counted and told."""

import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.load.loopback import BODIES, CALLS, QUICK, Start, count, send
from tuner.load.burst_progress import BurstProgress
from tuner.load.rest import http_request
from tuner.load.sender import LoadGenerator
from tuner.measure.measuring import measure_burst
from tuner.measure.pruning import WindowSoFar
from tuner.measure.samples import RequestOutcome
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile


def test_every_request_that_the_server_saw_is_a_sample(start: Start) -> None:
    target = start()
    burst = send(target)
    samples = burst.samples
    assert len(samples) == len(target.server.bodies) == count(burst, RequestOutcome.OK)
    sent = [BODIES[i] for i in samples.request]
    assert sorted(sent) == sorted(target.server.bodies)
    assert set(samples.request.tolist()) == {0, 1, 2}
    assert set(samples.status.tolist()) == {200}
    assert target.server.paths == {"/v1/models/m:predict"}


def test_the_loop_is_closed_over_connections_that_stay_open(start: Start) -> None:
    target = start()
    samples = send(target).samples
    assert target.server.opened == 4
    for connection in range(4):
        mine = samples.select(samples.connection == connection)
        end = mine.start_ns + mine.duration_ns
        assert (mine.start_ns[1:] >= end[:-1]).all()
    end = samples.start_ns + samples.duration_ns
    assert (np.diff(end) >= 0).all()
    assert samples.duration_ns.min() >= 2e6
    assert not samples.delay_ns.any()


def test_inputs_are_drawn_with_the_seed(start: Start) -> None:
    first, second = (send(start(), concurrency=1).samples.request for _ in range(2))
    n = min(len(first), len(second))
    assert (first[:n] == second[:n]).all()


def test_connection_i_goes_to_replica_i_modulo_replicas(start: Start) -> None:
    one, two = start(), start()
    one.addresses += two.addresses
    burst = send(one, concurrency=3)
    samples = burst.samples
    assert (one.server.opened, two.server.opened) == (2, 1)
    assert (samples.replica == samples.connection % 2).all()
    assert int((samples.replica == 0).sum()) == len(one.server.bodies)
    assert int((samples.replica == 1).sum()) == len(two.server.bodies)
    assert len(burst.counters_start) == len(burst.counters_end) == 2


def test_fewer_connections_than_replicas_leave_replicas_idle(start: Start) -> None:
    one, two = start(), start()
    one.addresses += two.addresses
    burst = send(one, concurrency=1)
    assert len(burst.samples) == len(one.server.bodies)
    assert not two.server.bodies


def test_connecting_sends_nothing(start: Start) -> None:
    target = start()
    with LoadGenerator().connect(target, LoadProfile(8, QUICK, 0), CALLS):
        deadline = time.monotonic() + 5
        while target.server.opened < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert target.server.opened == 8
        assert not target.server.bodies


def test_counters_are_read_at_the_ends_of_the_window_under_load(start: Start) -> None:
    target = start()
    burst = send(target)
    assert len(target.seen_while_counting) == 2
    assert min(target.seen_while_counting) >= 20
    assert burst.counters_start[0].time_ns >= burst.window_start_ns
    assert burst.counters_end[0].time_ns >= burst.window_end_ns
    window_ns = burst.window_end_ns - burst.window_start_ns
    (before,), (after,) = burst.client_start, burst.client_end
    assert 0 < after.cpu_ns - before.cpu_ns < window_ns
    assert before.time_ns == burst.window_start_ns
    assert after.time_ns == burst.window_end_ns


def test_cpu_times_are_read_at_the_start_and_after_each_batch(start: Start) -> None:
    one, two = start(), start()
    one.addresses += two.addresses
    burst = send(one)
    window_ns = burst.window_end_ns - burst.window_start_ns
    batches = round(window_ns / 1e9 / QUICK.batch_seconds)
    assert burst.cpu.time_ns.shape == burst.cpu.cpu_ns.shape == (batches + 1, 2)
    assert (np.diff(burst.cpu.time_ns, axis=0) > 0).all()
    assert burst.cpu.time_ns[0].min() >= burst.window_start_ns


@pytest.mark.skipif(sys.platform != "linux", reason="the counters are those of Linux' /proc")
def test_counters_of_engine_and_host(start: Start) -> None:
    target = start()
    burst = send(target)
    assert burst.host_start is not None
    assert burst.host_end is not None
    assert burst.host_end.busy_ns >= burst.host_start.busy_ns
    (before,), (after,) = burst.client_start, burst.client_end
    assert before.wait_ns is not None
    assert after.wait_ns is not None
    assert after.wait_ns >= before.wait_ns
    target.local = False
    elsewhere = send(target)
    assert elsewhere.host_start is elsewhere.host_end is None


def test_what_the_window_saved_against_its_cap(start: Start) -> None:
    burst = send(start())
    seconds = round((burst.window_end_ns - burst.window_start_ns) / 1e9, 2)
    assert burst.saved_seconds == pytest.approx(max(0.0, QUICK.max_seconds - seconds))
    capped = send(start(), spec=replace(QUICK, precision=1e-9))
    assert capped.saved_seconds == 0
    assert (burst.rate_rps, burst.lossy) == (None, False)


def test_a_burst_can_be_measured(start: Start) -> None:
    measurement = measure_burst(send(start(seconds=0.01)), host_cpus=2, batch_seconds=0.04)
    assert measurement.metrics["art_ms"].value >= 10
    assert measurement.metrics["cpu_percent"].value == pytest.approx(25)
    assert measurement.requests >= 20
    assert measurement.warmup_requests >= 2
    assert not measurement.errors


def test_progress_tells_both_phases(start: Start) -> None:
    seen: list[BurstProgress] = []
    send(start(), observe=seen.append)
    assert [p.phase for p in seen] == sorted(p.phase for p in seen)
    assert {p.phase for p in seen} == {"warm-up", "window"}
    last = seen[-1]
    assert last.requests > 0
    assert last.art_ms is not None
    assert last.art_ms > 2
    assert last.seconds_left >= 0
    assert last.waiting_for
    assert last.late_share is None


def test_a_judge_ends_the_window_and_is_shown_what_it_holds(start: Start) -> None:
    spec = replace(QUICK, min_seconds=20, max_seconds=40)
    shown: list[WindowSoFar] = []

    def pruner(seen: WindowSoFar) -> str:
        shown.append(seen)
        return "it cannot win" if len(seen.batches) == 4 else ""

    burst = send(start(), spec=spec, pruner=pruner)
    assert burst.cut_short == "it cannot win"
    assert burst.stop_reason.startswith("cut short after ")
    assert burst.stop_reason.endswith("s: it cannot win")
    assert 0 < burst.saved_seconds <= 40
    assert [len(s.batches) for s in shown] == [1, 2, 3, 4]
    assert [len(s.cpu.time_ns) for s in shown] == [2, 3, 4, 5]
    requests = [len(s.samples()) for s in shown]
    assert requests == sorted(requests)
    end = burst.samples.start_ns + burst.samples.duration_ns
    inside = (end >= burst.window_start_ns) & (end < burst.window_end_ns)
    assert requests[-1] == np.count_nonzero(inside) > 0
    assert len(burst.cpu.time_ns) == 5
    assert measure_burst(burst, 4, spec.batch_seconds).metrics["art_ms"].value > 0


def test_requests_larger_than_the_socket_buffers(start: Start) -> None:
    bodies = [b'"' + letter * 3_000_000 + b'"' for letter in (b"a", b"b")]
    target = start()
    profile = LoadProfile(2, replace(QUICK, min_requests=5), seed=1)
    with LoadGenerator().connect(target, profile, [Call("/", body) for body in bodies]) as client:
        burst = client.run()
    assert len(burst.samples) == len(target.server.bodies) == count(burst, RequestOutcome.OK)
    assert sorted(target.server.bodies) == sorted(bodies[i] for i in burst.samples.request)


def test_each_call_has_its_own_path_method_headers_and_right_status(start: Start) -> None:
    gone = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    target = start(reply=lambda _n, body: gone if body == b"1" else parts)
    calls = (Call("/a?b=c", b"1", "PUT", {"X-Y": "z"}, 204), Call("/d", b"2"))
    profile = LoadProfile(2, QUICK, seed=1)
    with LoadGenerator().connect(
        target, profile, calls, check=lambda n, b: b == (b"", b"{}")[n]
    ) as client:
        burst = client.run()
    assert len(burst.samples) == count(burst, RequestOutcome.OK) > 0
    assert target.server.paths == {"/a?b=c", "/d"}
    assert http_request(calls[0], "h") == (
        b"PUT /a?b=c HTTP/1.1\r\nHost: h\r\nX-Y: z\r\nContent-Length: 1\r\n\r\n1"
    )
    assert (
        http_request(Call("/e", method="GET", headers={}), "h")
        == b"GET /e HTTP/1.1\r\nHost: h\r\n\r\n"
    )


def test_an_answer_of_another_status_is_an_error(start: Start) -> None:
    profile = LoadProfile(2, QUICK, seed=1)
    with LoadGenerator().connect(start(), profile, [Call("/", b"1", status=201)]) as client:
        burst = client.run()
    assert count(burst, RequestOutcome.HTTP_ERROR) == len(burst.samples) > 0
