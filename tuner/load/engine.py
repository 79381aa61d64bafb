"""The process that sends a burst: `python -m tuner.load.engine FD PARENT`, started by `sender`.

It opens all connections, waits for the command to run, keeps one request in flight on each, and
streams every completed request to its parent once a tick, until it is told to stop. It decides
nothing: warm-up, window and verdicts are the parent's, on the same clock (`perf_counter_ns` is
CLOCK_MONOTONIC, one for all processes of the machine).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import os
import random
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, cast

import uvloop

from tuner.load import wire
from tuner.load.connection import Connection, Loop
from tuner.load.recorder import Recorder

CONNECTING_AT_ONCE = 64
"""More would overflow a server's accept queue, and each lost SYN costs a second."""

DRAIN_SECONDS = 1.0
"""How long the last requests are waited for; what is left then is noted as reset."""

_PR_SET_PDEATHSIG = 1


class Control(asyncio.Protocol):
    """The engine's end of the socket pair."""

    def __init__(self) -> None:
        self.run = asyncio.Event()
        self.stop = asyncio.Event()
        self.flushed = asyncio.Event()
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if wire.RUN in data:
            self.run.set()
        if wire.STOP in data:
            self.stop.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if not self.closing:
            os._exit(1)  # the parent is gone: nobody wants this load
        self.flushed.set()

    def tell(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self._transport.write(wire.encode(header, payload))

    async def close(self) -> None:
        """Wait until everything told has left."""
        self.closing = True
        self._transport.close()
        await self.flushed.wait()


async def burst(setup: wire.Setup, sock: socket.socket) -> None:
    """Connect, run, stop: the whole life of the engine."""
    running = asyncio.get_running_loop()
    running.set_exception_handler(_crash)
    _, control = await running.create_connection(Control, sock=sock)
    recorder = Recorder()
    loop = Loop(_requests(setup), _inputs(setup), setup.timeout_seconds, recorder)
    connections = [
        Connection(loop, number, address)
        for number, address in zip(
            range(setup.concurrency), itertools.cycle(setup.addresses), strict=False
        )
    ]
    try:
        await _open(connections)
    except OSError as error:
        control.tell({"event": "failed", "message": str(error) or type(error).__name__})
        await control.close()
        return
    control.tell({"event": "connected"})
    await control.run.wait()

    gc.collect()
    gc.freeze()
    gc.disable()
    loop.sending = True
    for connection in connections:
        connection.begin()
    helpers = [
        running.create_task(_tick(setup.tick_seconds, control, recorder)),
        running.create_task(_expire(setup.timeout_seconds, connections)),
    ]
    await control.stop.wait()

    loop.sending = False
    await _drain(connections)
    for task in (*helpers, *loop.tasks):
        task.cancel()
    _report(control, recorder, "ended")
    await control.close()


def _requests(setup: wire.Setup) -> list[bytes]:
    """Whole HTTP requests. The replicas are one service, so all are asked by one host name."""
    return [
        (
            f"POST {setup.path} HTTP/1.1\r\nHost: {setup.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for body in setup.bodies
    ]


def _inputs(setup: wire.Setup) -> Iterator[int]:
    """Inputs drawn uniformly with the seed, and again from the start after many."""
    draws = random.Random(setup.seed)  # noqa: S311 -- no secret
    return itertools.cycle(draws.choices(range(len(setup.bodies)), k=1 << 16))


async def _open(connections: list[Connection]) -> None:
    """Open all. Raises OSError, naming the address, for one that cannot be opened."""
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(connection: Connection) -> None:
        async with gate:
            try:
                await connection.open()
            except OSError as error:
                host, port = connection.address
                why = str(error) or "no answer in time"
                raise OSError(f"cannot connect to {host}:{port}: {why}") from error

    tasks = [asyncio.ensure_future(one(connection)) for connection in connections]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _tick(seconds: float, control: Control, recorder: Recorder) -> None:
    """Report at even intervals, however long a report takes."""
    due = time.monotonic()
    while True:
        due += seconds
        await asyncio.sleep(due - time.monotonic())
        _report(control, recorder, "tick")


def _report(control: Control, recorder: Recorder, event: str) -> None:
    # All that completed before this moment, and nothing after it, is in the report.
    now, cpu = time.perf_counter_ns(), time.process_time_ns()
    n, kept, payload = recorder.take()
    control.tell({"event": event, "now": now, "cpu": cpu, "n": n, "kept": kept}, payload)


async def _expire(oldest: float, connections: list[Connection]) -> None:
    """Give up requests older than `oldest` seconds, noticed at most a twentieth of it late."""
    while True:
        await asyncio.sleep(min(oldest / 20, 0.25))
        since = time.perf_counter_ns() - int(oldest * 1e9)
        for connection in connections:
            if 0 < connection.start < since:
                connection.fail(wire.TIMEOUT)


async def _drain(connections: list[Connection]) -> None:
    until = time.monotonic() + DRAIN_SECONDS
    # An event that every connection sets would be one more thing to do per request.
    while any(c.start for c in connections) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    for connection in connections:
        if connection.start:
            connection.fail(wire.RESET)


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error in a callback is an error of the engine: say so and end."""
    error = context.get("exception")
    print(context["message"], file=sys.stderr)  # noqa: T201 -- standard error goes to the parent
    if error is not None:
        traceback.print_exception(error)
    sys.stderr.flush()
    loop.stop()
    os._exit(70)


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when `parent` ends; elsewhere the socket's end says so."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def main() -> None:
    descriptor, parent = (int(argument) for argument in sys.argv[1:])
    _die_with(parent)
    sock = socket.socket(fileno=descriptor)
    setup = wire.Setup.decode(*wire.receive(sock))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < setup.files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (setup.files, hard))
    uvloop.run(burst(setup, sock))


if __name__ == "__main__":
    main()
