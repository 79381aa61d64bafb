"""Servers on loopback that do what they are told, and bursts against them."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tuner.load.burst_progress import BurstProgress
from tuner.load.load_client import CheckAnswer
from tuner.load.sender import LoadGenerator
from tuner.measure.pruning import Pruner
from tuner.measure.samples import Burst, ContainerCounters, RequestOutcome
from tuner.serving.servers.call import Call
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
CALLS = tuple(Call("/v1/models/m:predict", body) for body in BODIES)

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


@dataclass
class Place:
    """The target of a burst: addresses, where the engine runs, counters that advance."""

    addresses: list[tuple[str, int]]
    client_namespace: str | None = None
    client_cpus: tuple[int, ...] = ()
    local: bool = True
    model_name: str = "m"

    def counters(self) -> tuple[ContainerCounters, ...]:
        one = ContainerCounters(*self._now(), 0, 0, 0, 2**20, 0, 0, 0, "test")
        return (one,) * len(self.addresses)

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return (self._now(),) * len(self.addresses)

    @staticmethod
    def _now() -> tuple[int, int]:
        """A replica that is busy half of the time."""
        now = time.perf_counter_ns()
        return now, now // 2


class Running(Place):
    """A server that runs in a thread of its own, as the target of a burst."""

    def __init__(self, server: Server) -> None:
        super().__init__([])
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
        self.addresses.append(self._listening.sockets[0].getsockname())
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
        return super().counters()

    def _await_requests(self, more: int) -> int:
        """How many requests arrived while waiting for so many, or for too long."""
        before = len(self.server.bodies)
        deadline = time.monotonic() + 0.5
        while len(self.server.bodies) < before + more and time.monotonic() < deadline:
            time.sleep(0.002)
        return len(self.server.bodies) - before


Start = Callable[..., Running]
"""Takes the fields of a `Server`."""


@contextmanager
def started_servers(kind: Callable[..., Server] = Server) -> Iterator[Start]:
    """What starts servers of a kind, which are stopped at the end of the block."""
    running: list[Running] = []

    def begin(**behaviour: object) -> Running:
        running.append(Running(kind(**behaviour)))
        return running[-1]

    try:
        yield begin
    finally:
        while running:
            running.pop().stop()
    # A connection that was being accepted while its server's loop ended is nobody's to close.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@contextmanager
def null_server(*options: str) -> Iterator[tuple[int, Place]]:
    """A light server in a process of its own: (process id, target). See `null_server.py`."""
    script = Path(__file__).with_name("null_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), *options], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            port = json.loads(process.stdout.readline())
            yield process.pid, Place([("127.0.0.1", port)])
        finally:
            process.kill()


def send(
    target: Place,
    concurrency: int = 4,
    spec: LoadSpec = QUICK,
    observe: Callable[[BurstProgress], None] | None = None,
    check: CheckAnswer | None = None,
    rate: float | None = None,
    pruner: Pruner | None = None,
) -> Burst:
    profile = LoadProfile(concurrency, spec, seed=7, rate_rps=rate)
    with LoadGenerator().connect(target, profile, CALLS, check=check) as client:
        return client.run(observe, pruner)


def count(burst: Burst, outcome: RequestOutcome) -> int:
    return int(np.count_nonzero(burst.samples.outcome == outcome))
