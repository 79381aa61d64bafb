"""What senders say against what the server knows: bias of the mean and of p99.

    python benchmarks/truth.py [--seconds 4] [--concurrency 1 16 64]

A server on loopback, on a CPU of its own where there are two, logs for each request when it had
arrived whole and when its answer was written, on the clock that `tune` reads too. It answers after
5 ms; or after a lognormal time of mean 5 ms; or it stops all work for 200 ms in each second. tune
numbers its requests, so each is compared with its own line of the log:

- closed loop: the truth is the time from arrival to answer;
- open loop (Poisson): the truth is the time from when the request was due to the answer. A request
  that was due in a stall waited, whether or not the client had a connection free to send it on.

wrk and ab, where installed, are compared with the log of all requests of their own run.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import heapq
import math
import multiprocessing
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter_ns
from typing import cast

import httptools
import numpy as np
import numpy.typing as npt
import uvloop

from tuner.load.sender import LoadGenerator
from tuner.measure.samples import ContainerCounters, RequestOutcome, RequestSamples
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec

MS = 1_000_000
SERVICE_NS = 5 * MS
SIGMA = 1.0
"""Of the logarithm of the lognormal service time: its p99 is 31 ms."""
STALL_NS, CYCLE_NS = 200 * MS, 1000 * MS
UTILISATION = 0.5
"""Rate of the open loop over what so many connections can carry at 5 ms."""

IDS = 1 << 16
PATH = "/v1/models/m:predict"
ANSWER = b'{"predictions":[1]}'
WIRE = (
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
)

Due = Callable[[int], int]
"""When a request that arrived at that time (ns) is to be answered."""


def constant(arrival: int) -> int:
    return arrival + SERVICE_NS


def lognormal() -> Due:
    draws = random.Random(1)  # noqa: S311 -- no secret
    mu = math.log(SERVICE_NS) - SIGMA**2 / 2
    return lambda arrival: arrival + round(draws.lognormvariate(mu, SIGMA))


def stalling(arrival: int) -> int:
    """5 ms of work, none of which is done in the first 200 ms of each second of the clock."""
    begun = arrival + max(0, STALL_NS - arrival % CYCLE_NS)
    due = begun + SERVICE_NS
    return due + STALL_NS if due // CYCLE_NS > begun // CYCLE_NS else due


SERVICES: dict[str, Callable[[], Due]] = {
    "5 ms": lambda: constant,
    "lognormal": lognormal,
    "stalls": lambda: stalling,
}


class Alarm:
    """A timer of the kernel (timerfd_create(2)): the event loop's own knows only milliseconds."""

    _MONOTONIC, _ABSOLUTE = 1, 1

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._libc.timerfd_create(self._MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def at(self, when_ns: int) -> None:
        # struct itimerspec: interval, then the time to expire at; 0 s 0 ns would disarm it.
        spec = (ctypes.c_long * 4)(0, 0, *divmod(when_ns, 1_000_000_000))
        if self._libc.timerfd_settime(self.descriptor, self._ABSOLUTE, spec, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")


class Server:
    """Answers each request when it is due, and logs (id, arrival, answer) of it."""

    def __init__(self, due: Due) -> None:
        self._due = due
        self._alarm = Alarm()
        self._armed = 0
        self._waiting: list[tuple[int, int, int, int, Slot]] = []
        self._log = array("q")
        self._count = 0
        asyncio.get_running_loop().add_reader(self._alarm.descriptor, self._expired)

    def arrived(self, slot: Slot, body: bytes) -> None:
        arrival = perf_counter_ns()
        self._count += 1  # no two entries of the heap are equal, so slots are not compared
        due = self._due(arrival)
        number = int(body[6:-1])  # {"id":7}
        heapq.heappush(self._waiting, (due, self._count, arrival, number, slot))
        self._arm()

    def _arm(self) -> None:
        if self._waiting and self._waiting[0][0] != self._armed:
            self._armed = self._waiting[0][0]
            self._alarm.at(self._armed)

    def _expired(self) -> None:
        try:
            os.read(self._alarm.descriptor, 8)
        except BlockingIOError:
            return  # set anew since it expired
        while self._waiting and self._waiting[0][0] <= perf_counter_ns():
            _, _, arrival, number, slot = heapq.heappop(self._waiting)
            answer = perf_counter_ns()
            if slot.write(WIRE):
                self._log.extend((number, arrival, answer))
        self._armed = 0
        self._arm()

    def log(self) -> npt.NDArray[np.int64]:
        return np.array(self._log, np.int64).reshape(-1, 3)


class Slot(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._server.arrived(self, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._open = False

    def write(self, data: bytes) -> bool:
        """Write at once, not when the event loop comes round; whether somebody is there to read."""
        if self._open:
            try:
                return os.write(self._descriptor, data) == len(data)
            except ConnectionError:
                self._transport.abort()
        return False


def serve(sock: socket.socket, service: str, log: Path, parent: Connection, cpu: int) -> None:
    """The server's process: until `parent` is closed at its end, also by that end's death."""
    os.sched_setaffinity(0, {cpu})

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        loop.add_reader(parent.fileno(), stopped.set)
        server = Server(SERVICES[service]())
        listener = await loop.create_server(lambda: Slot(server), sock=sock, backlog=4096)
        parent.send("ready")
        await stopped.wait()
        listener.close()
        np.save(log, server.log())

    uvloop.run(run())


@dataclass(frozen=True)
class Target:
    """The server, seen as what a burst is sent to; its counters are of no interest here."""

    addresses: tuple[tuple[str, int], ...]
    client_cpus: tuple[int, ...]
    model_name = "m"
    client_namespace = None
    local = True

    def counters(self) -> tuple[ContainerCounters, ...]:
        return ()

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return ()

    @property
    def url(self) -> str:
        host, port = self.addresses[0]
        return f"http://{host}:{port}{PATH}"


@contextmanager
def server(service: str, log: Path) -> Iterator[Target]:
    """The server while the block lasts; its log is in `log` afterwards."""
    cpus = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as sock:
        process = context.Process(target=serve, args=(sock, service, log, theirs, cpus[0]))
        process.start()
        theirs.close()
        address = sock.getsockname()
    try:
        if not ours.poll(60):
            sys.exit("the server does not start")
        ours.recv()
        yield Target((address,), (cpus[-1],))
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


@dataclass(frozen=True)
class Row:
    """What a sender said of its run, and what the server knows, in ms."""

    requests: int
    mean: float
    p99: float
    true_mean: float
    true_p99: float
    due_in_stall: float
    """Share of the requests that were due in the first 200 ms of a second."""


def with_tune(service: str, concurrency: int, seconds: int, rate_rps: float | None) -> Row:
    spec = LoadSpec(
        min_seconds=seconds,
        max_seconds=seconds,
        precision=0.0,  # that no window reaches: it ends at its limit
        warmup_max_seconds=1.0,
        arrivals="closed" if rate_rps is None else "poisson",
    )
    profile = LoadProfile(concurrency, spec, seed=1, rate_rps=rate_rps)
    bodies = [b'{"id":%d}' % number for number in range(IDS)]
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "log.npy")
        with (
            server(service, log) as target,
            LoadGenerator().connect(target, profile, [Call("/", b) for b in bodies]) as client,
        ):
            burst = client.run()
        samples = burst.samples.select(burst.samples.outcome != RequestOutcome.NOT_SENT)
        if (samples.outcome != RequestOutcome.OK).any():
            sys.exit("requests failed")
        arrival, answer = joined(samples, np.load(log))
    end = samples.start_ns + samples.duration_ns
    window = (end >= burst.window_start_ns) & (end < burst.window_end_ns)
    due = samples.start_ns[window]
    since = arrival[window] if rate_rps is None else due
    said, true = samples.duration_ns[window] / MS, (answer[window] - since) / MS
    return Row(len(said), *mean_and_p99(said), *mean_and_p99(true), in_stall(due))


def joined(
    samples: RequestSamples, log: npt.NDArray[np.int64], apart_ns: float = 0.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Arrival and answer at the server of each sample.

    An id is drawn more than once; its requests arrive in the order in which they were sent. The
    clocks of both sides are so far apart at most.
    """
    sent = samples.start_ns + samples.delay_ns
    ours = np.lexsort((sent, samples.request))
    theirs = np.lexsort((log[:, 1], log[:, 0]))
    if not np.array_equal(samples.request[ours], log[theirs, 0]):
        sys.exit(f"{len(samples)} requests were noted, and not those {len(log)} that were served")
    arrival, answer = np.empty((2, len(samples)), np.int64)
    arrival[ours], answer[ours] = log[theirs, 1], log[theirs, 2]
    end = samples.start_ns + samples.duration_ns
    wrong = (sent > arrival + apart_ns) | (answer > end + apart_ns)
    # Two requests with one id, at once on two connections, may arrive the other way round.
    if wrong.mean() > 1e-3:
        sys.exit(
            f"{wrong.mean():.1%} of the answers came before their requests, or after their end"
        )
    return arrival, answer


def with_wrk(target: Target, concurrency: int, seconds: int) -> tuple[float, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            "wrk.method = 'POST'\nwrk.body = '{\"id\":0}'\n"
            "done = function(summary, latency, requests)\n"
            "  io.write(string.format('RESULT %f %f\\n', latency.mean,"
            " latency:percentile(99)))\nend\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", script.name]
        output = _run([*command, target.url], seconds)
    found = re.search(r"RESULT ([\d.]+) ([\d.]+)", output)
    assert found, output
    return float(found[1]) / 1e3, float(found[2]) / 1e3


def with_ab(target: Target, concurrency: int, seconds: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        body, table = Path(name, "body"), Path(name, "table.csv")
        body.write_bytes(b'{"id":0}')
        command = ["ab", "-q", "-k", f"-c{concurrency}", f"-t{seconds}", "-n100000000"]
        output = _run([*command, "-p", str(body), "-e", str(table), target.url], seconds)
        p99 = re.search(r"^99,([\d.]+)", table.read_text(), re.MULTILINE)
    mean = re.search(r"Time per request:\s+([\d.]+) \[ms\] \(mean\)", output)
    assert mean, output
    assert p99, output
    return float(mean[1]), float(p99[1])


PEERS: dict[str, Callable[[Target, int, int], tuple[float, float]]] = {
    "wrk": with_wrk,
    "ab": with_ab,
}


def with_peer(name: str, service: str, concurrency: int, seconds: int) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "log.npy")
        with server(service, log) as target:
            said = PEERS[name](target, concurrency, seconds)
        _, arrival, answer = np.load(log).T
    true = (answer - arrival) / MS
    return Row(len(true), *said, *mean_and_p99(true), in_stall(arrival))


def _run(command: list[str], seconds: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
    return done.stdout


def mean_and_p99(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(np.percentile(values, 99))


def in_stall(due: npt.NDArray[np.int64]) -> float:
    return float((due % CYCLE_NS < STALL_NS).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=4, help="of each window")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    peers = [name for name in PEERS if shutil.which(name)]
    if absent := PEERS.keys() - set(peers):
        print(f"Not installed: {', '.join(sorted(absent))}.")
    print(f"{len(cpus)} CPUs; windows of {arguments.seconds} s; bias = said minus true\n")
    print(
        f"{'service':10}{'c':>4} {'loop':7}{'sender':7}{'requests':>9}{'true ms':>9}"
        f"{'true p99':>10}{'bias us':>9}{'p99 bias us':>13}{'due in stall':>14}"
    )

    def show(service: str, concurrency: int, loop: str, sender: str, row: Row) -> None:
        stall = f"{row.due_in_stall:.1%}" if service == "stalls" else "-"
        print(
            f"{service:10}{concurrency:4} {loop:7}{sender:7}{row.requests:9}{row.true_mean:9.2f}"
            f"{row.true_p99:10.2f}{1e3 * (row.mean - row.true_mean):+9.0f}"
            f"{1e3 * (row.p99 - row.true_p99):+13.0f}{stall:>14}",
            flush=True,
        )

    for service in SERVICES:
        for concurrency in arguments.concurrency:
            at = service, concurrency
            rate = UTILISATION * concurrency / (SERVICE_NS / 1e9)
            show(*at, "closed", "tune", with_tune(*at, arguments.seconds, None))
            for peer in peers:
                show(*at, "closed", peer, with_peer(peer, *at, arguments.seconds))
            show(*at, "open", "tune", with_tune(*at, arguments.seconds, rate))


if __name__ == "__main__":
    main()
