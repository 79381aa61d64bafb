"""The load generator against a loopback server that does what it is told."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tuner.errors import SetupError, TrialFailed
from tuner.load import wire
from tuner.load.process import engine
from tuner.load.sender import LoadGenerator, Progress
from tuner.measure.measure import measure
from tuner.measure.samples import Burst, ContainerCounters, Outcome
from tuner.spec.study import LoadProfile, LoadSpec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
NONSENSE = b"this is not HTTP\r\n\r\n"

QUICK = LoadSpec(
    min_seconds=0.16,
    max_seconds=0.4,
    min_requests=20,
    precision=0.5,
    batch_seconds=0.04,
    warmup_max_seconds=0.3,
    timeout_seconds=5.0,
)
BODIES = (b'{"x":1}', b'{"x":22}', b'{"x":333}')

Reply = bytes | None
"""What to answer; None resets the connection, nothing at all leaves the request waiting."""


@dataclass
class Server:
    """Answers request number n of the server's life (from 0) with `reply(n, body)`, a bit later."""

    reply: Callable[[int, bytes], Reply] = lambda _n, _body: OK
    seconds: float = 0.002
    bodies: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    opened: int = 0
    open_now: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open_now.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                number = len(self.bodies)
                self.bodies.append(body)
                self.paths.add(head.split()[1].decode())
                answer = self.reply(number, body)
                if answer is None:
                    writer.transport.abort()
                    return
                await asyncio.sleep(self.seconds)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open_now.discard(writer)
            writer.close()


class Running:
    """A server that runs in a thread of its own, as the target of a burst."""

    model_name = "m"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seen_while_counting: list[int] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._listening = await asyncio.start_server(self.server.serve, "127.0.0.1", 0)
        self.addresses: list[tuple[str, int]] = [self._listening.sockets[0].getsockname()]
        self._ready.set()
        await self._stop.wait()
        self._listening.close()
        # The clients are gone, so every connection ends by itself; one that is still being
        # accepted (which starts a second task) must not be cancelled, or its socket stays open.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)

    def close_all(self) -> None:
        self._listening.close()
        for writer in tuple(self.server.open_now):
            writer.transport.abort()

    def die(self) -> None:
        """Stop listening and reset every connection."""
        self._loop.call_soon_threadsafe(self.close_all)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def counters(self) -> tuple[ContainerCounters, ...]:
        self.seen_while_counting.append(self._await_requests(20))
        now = time.perf_counter_ns()
        one = ContainerCounters(now, now // 2, 0, 0, 0, 2**20, 0, 0, 0, "test")
        return (one,) * len(self.addresses)

    def _await_requests(self, more: int) -> int:
        """How many requests arrived while waiting for so many, or for too long."""
        before = len(self.server.bodies)
        deadline = time.monotonic() + 0.5
        while len(self.server.bodies) < before + more and time.monotonic() < deadline:
            time.sleep(0.002)
        return len(self.server.bodies) - before


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Running] = []

    def begin(**behaviour: object) -> Running:
        running.append(Running(Server(**behaviour)))  # type: ignore[arg-type]
        return running[-1]

    yield begin
    while running:
        running.pop().stop()
    # A connection that was being accepted while its server's loop ended is nobody's to close.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


def send(
    target: Running,
    concurrency: int = 4,
    spec: LoadSpec = QUICK,
    observe: Callable[[Progress], None] | None = None,
    check: Callable[[int, bytes], bool] | None = None,
) -> Burst:
    profile = LoadProfile(concurrency, spec, seed=7)
    with LoadGenerator().connect(target, profile, BODIES, check=check) as client:
        return client.run(observe)


def count(burst: Burst, outcome: Outcome) -> int:
    return int(np.count_nonzero(burst.samples.outcome == outcome))


def test_every_request_that_the_server_saw_is_a_sample(start: Start) -> None:
    target = start()
    burst = send(target)
    samples = burst.samples
    assert len(samples) == len(target.server.bodies) == count(burst, Outcome.OK)
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
    with LoadGenerator().connect(target, LoadProfile(8, QUICK, 0), BODIES):
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
    assert 0 < burst.client_cpu_ns < burst.window_end_ns - burst.window_start_ns


def test_a_burst_can_be_measured(start: Start) -> None:
    measurement = measure(send(start(seconds=0.01)), host_cpus=2, batch_seconds=0.04)
    assert measurement.metrics["art_ms"].value >= 10
    assert measurement.metrics["cpu_percent"].value == pytest.approx(25)
    assert measurement.requests >= 20
    assert measurement.warmup_requests >= 2
    assert not measurement.errors


def test_progress_tells_both_phases(start: Start) -> None:
    seen: list[Progress] = []
    send(start(), observe=seen.append)
    assert [p.phase for p in seen] == sorted(p.phase for p in seen)
    assert {p.phase for p in seen} == {"warm-up", "window"}
    last = seen[-1]
    assert last.requests > 0
    assert last.art_ms is not None
    assert last.art_ms > 2
    assert last.seconds_left >= 0
    assert last.waiting_for


def test_answers_that_are_not_200_are_counted(start: Start) -> None:
    target = start(reply=lambda n, _: BUSY if n % 3 == 0 else OK)
    burst = send(target)
    seen = len(target.server.bodies)
    assert len(burst.samples) == seen
    assert count(burst, Outcome.HTTP_ERROR) == -(-seen // 3)
    assert set(burst.samples.status[burst.samples.outcome == Outcome.HTTP_ERROR].tolist()) == {503}


def test_resets_are_counted_and_the_connection_comes_back(start: Start) -> None:
    target = start(reply=lambda n, _: None if n % 10 == 5 else OK)
    burst = send(target)
    seen = len(target.server.bodies)
    resets = sum(1 for n in range(seen) if n % 10 == 5)
    assert len(burst.samples) == seen
    assert count(burst, Outcome.RESET) == resets
    assert target.server.opened >= resets
    assert set(burst.samples.connection[-20:].tolist()) == {0, 1, 2, 3}


def test_timeouts_are_counted_and_the_connection_comes_back(start: Start) -> None:
    target = start(reply=lambda n, _: b"" if n in {3, 30} else OK)
    spec = replace(QUICK, min_seconds=0.8, max_seconds=0.8, timeout_seconds=0.2)
    burst = send(target, concurrency=2, spec=spec)
    late = burst.samples.select(burst.samples.outcome == Outcome.TIMEOUT)
    assert len(burst.samples) == len(target.server.bodies)
    assert len(late) >= 2
    assert late.duration_ns.min() >= 0.2e9
    assert set(late.status.tolist()) == {0}


def test_a_server_that_closes_after_each_answer_costs_no_error(start: Start) -> None:
    target = start(reply=lambda _n, _body: LAST)
    burst = send(target, concurrency=2)
    assert len(burst.samples) == len(target.server.bodies) == count(burst, Outcome.OK)
    assert target.server.opened >= len(target.server.bodies)


def test_an_answer_that_is_not_http_is_an_error(start: Start) -> None:
    target = start(reply=lambda n, _: NONSENSE if n == 5 else OK)
    burst = send(target)
    wrong = burst.samples.select(burst.samples.outcome == Outcome.HTTP_ERROR)
    assert wrong.status.tolist() == [0]


def test_wrong_answers_are_found_in_the_sample_that_is_checked(start: Start) -> None:
    checked: list[int] = []

    def check(request: int, body: bytes) -> bool:
        checked.append(request)
        return request != 1 and json.loads(body) == {}

    burst = send(start(), concurrency=64, check=check)
    assert count(burst, Outcome.WRONG_ANSWER) == checked.count(1) > 0
    wrong = burst.samples.outcome == Outcome.WRONG_ANSWER
    assert set(burst.samples.request[wrong].tolist()) == {1}


def test_a_server_that_dies_mid_burst_leaves_errors_not_a_hang(start: Start) -> None:
    target = start()

    def kill(progress: Progress) -> None:
        if progress.phase == "window":
            target.die()

    burst = send(target, observe=kill, spec=replace(QUICK, min_seconds=0.4))
    assert len(burst.samples.select(burst.samples.outcome == Outcome.OK)) > 0
    assert count(burst, Outcome.RESET) >= 4
    assert burst.samples.outcome[-1] == Outcome.RESET


def test_a_server_that_fails_all_ends_the_window_early(start: Start) -> None:
    spec = replace(QUICK, max_seconds=60.0)
    burst = send(start(reply=lambda _n, _body: BUSY), spec=spec)
    assert "failed" in burst.stop_reason
    assert measure(burst, 1, 0.04).verdict == "INVALID"


def test_requests_cut_off_by_the_end_are_not_lost(start: Start) -> None:
    target = start(reply=lambda n, _: b"" if n == 40 else OK)
    burst = send(target)
    assert len(burst.samples) == len(target.server.bodies)
    end = burst.samples.start_ns + burst.samples.duration_ns
    cut = burst.samples.outcome == Outcome.RESET
    assert np.count_nonzero(cut) == 1
    assert (end[cut] > burst.window_end_ns).all()


def test_many_connections(start: Start) -> None:
    target = start(seconds=0.2)
    burst = send(target, concurrency=300)
    assert target.server.opened == 300
    assert len(burst.samples) == len(target.server.bodies)
    assert len(np.unique(burst.samples.connection)) == 300


def test_requests_larger_than_the_socket_buffers(start: Start) -> None:
    bodies = [b'"' + letter * 3_000_000 + b'"' for letter in (b"a", b"b")]
    target = start()
    profile = LoadProfile(2, replace(QUICK, min_requests=5), seed=1)
    with LoadGenerator().connect(target, profile, bodies) as client:
        burst = client.run()
    assert len(burst.samples) == len(target.server.bodies) == count(burst, Outcome.OK)
    assert sorted(target.server.bodies) == sorted(bodies[i] for i in burst.samples.request)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()

    class Gone:
        addresses = (address,)
        model_name = "m"

        def counters(self) -> tuple[ContainerCounters, ...]:
            return ()

    with (
        pytest.raises(TrialFailed, match=f"cannot connect to 127.0.0.1:{address[1]}"),
        LoadGenerator().connect(Gone(), LoadProfile(2, QUICK, 0), BODIES),
    ):
        pass


def test_more_connections_than_files_may_be_open(start: Start) -> None:
    with (
        pytest.raises(SetupError, match="open files"),
        LoadGenerator().connect(start(), LoadProfile(2**31, QUICK, 0), BODIES),
    ):
        pass


class Interrupted(Exception):  # noqa: N818 -- stands for whatever a caller may raise
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_an_exception_ends_the_engine(start: Start, error: type[BaseException]) -> None:
    target = start()

    def interrupt(_: Progress) -> None:
        raise error

    before = children()
    with pytest.raises(error):
        send(target, observe=interrupt)
    assert children() == before


def test_an_engine_that_crashes_says_why() -> None:
    with pytest.raises(TrialFailed, match="JSONDecodeError"), engine() as started:  # noqa: PT012
        started.send(b"\x00\x00\x00\x03\x00\x00\x00\x00 no")
        started.receive("connected")


def test_an_engine_that_is_killed_fails_the_trial(start: Start) -> None:
    def kill(_: Progress) -> None:
        (child,) = children() - before
        os.kill(child, signal.SIGKILL)

    before = children()
    with pytest.raises(TrialFailed, match="ended unexpectedly"):
        send(start(), observe=kill)


def test_the_engine_dies_with_its_parent(start: Start) -> None:
    host, port = start().addresses[0]
    code = f"""
import os, signal
from tuner.load.sender import LoadGenerator
from tuner.spec.study import LoadProfile, LoadSpec
class Target:
    addresses = (({host!r}, {port}),)
    model_name = "m"
    def counters(self): return ()
def report(progress):
    print(open(f"/proc/self/task/{{os.getpid()}}/children").read(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
with LoadGenerator().connect(Target(), LoadProfile(1, LoadSpec(), 0), [b"1"]) as client:
    client.run(report)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    child = int(run.stdout)
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_ctrl_c_at_the_terminal_does_not_reach_the_engine(start: Start) -> None:
    before = children()
    with LoadGenerator().connect(start(), LoadProfile(1, QUICK, 0), BODIES):
        (child,) = children() - before
        assert os.getsid(child) != os.getsid(0)
        assert os.getpgid(child) != os.getpgid(0)


def test_the_engine_imports_nothing_heavy() -> None:
    code = "import sys, tuner.load.engine; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "pydantic"} & set(run.stdout.split())


def test_outcome_codes_are_those_of_the_samples() -> None:
    codes = wire.OK, wire.HTTP_ERROR, wire.TIMEOUT, wire.RESET
    assert codes == (Outcome.OK, Outcome.HTTP_ERROR, Outcome.TIMEOUT, Outcome.RESET)


def children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
        return {int(pid) for pid in file.read().split()}


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
