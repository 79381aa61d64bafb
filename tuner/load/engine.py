"""The process that sends a burst: `python -m tuner.load.engine FD PARENT`, started by `sender`.

It opens its connections, waits for the stages to follow, and sends its part of the load, alone or
beside other engines. Once a tick it streams the completed requests to its parent, until it is told
to stop. It decides nothing: the parent decides about warm-up and window, on the same clock
(`perf_counter_ns` is CLOCK_MONOTONIC, one for all processes of the machine).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import uvloop

from tuner.errors import TrialFailed, TuneError
from tuner.load import wire
from tuner.load.any_server import any_server_exchanges, tls_of
from tuner.load.arrivals import Ramp
from tuner.load.connection import Connection, Exchange, Loop
from tuner.load.division import connections_of
from tuner.load.engine_place import place_engine
from tuner.load.grpc import grpc_exchanges
from tuner.load.loops import loop_of
from tuner.load.recorder import Recorder
from tuner.load.rest import rest_exchanges

PROTOCOLS: dict[str, Callable[[wire.Setup], Callable[[Connection], Exchange]]] = {
    "rest": rest_exchanges,
    "grpc": grpc_exchanges,
    "any server": any_server_exchanges,
}
"""By name: the function that makes the exchanges of a burst."""

CONNECTING_AT_ONCE = 64
"""All senders together. More would overflow a server's accept queue, and a lost SYN costs a
second."""

DRAIN_SECONDS = 1.0
"""How long to wait for the last requests. Those left after that are noted as reset."""

_PR_SET_PDEATHSIG = 1


class Control(asyncio.Protocol):
    """The engine's end of the socket pair."""

    def __init__(self) -> None:
        self.commands: asyncio.Queue[tuple[int, list[Ramp]]] = asyncio.Queue()
        """From when on (ns) to follow which stages."""
        self.stop = asyncio.Event()
        self.flushed = asyncio.Event()
        self.closing = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["command"] == "stop":
                self.stop.set()
            else:
                stages = [Ramp(*stage) for stage in command["stages"]]
                self.commands.put_nowait((command["at"], stages))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if not self.closing:
            os._exit(1)  # the parent is gone: nobody wants this load
        self.flushed.set()

    def tell(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self._transport.write(wire.encode_frame(header, payload))

    async def close(self) -> None:
        """Wait until everything is sent, then close."""
        self.closing = True
        self._transport.close()
        await self.flushed.wait()


async def burst(setup: wire.Setup, sock: socket.socket) -> None:
    """Connect, send, stop: the whole life of the engine."""
    running = asyncio.get_running_loop()
    running.set_exception_handler(_crash)
    _, control = await running.create_connection(Control, sock=sock)
    try:
        client = place_engine(setup)
        recorder = Recorder()
        loop = loop_of(setup, recorder)
        protocol = "any server" if setup.any_server else setup.protocol
        exchange = PROTOCOLS[protocol](setup)
        loop.tls = tls_of(setup)
        addresses = setup.addresses
        numbers = connections_of(setup.sender, setup.senders, setup.concurrency, len(addresses))
        connections = [
            Connection(loop, exchange, number, addresses[number % len(addresses)])
            for number in numbers
        ]
        await _open(connections, max(1, CONNECTING_AT_ONCE // setup.senders))
    except TuneError as error:
        control.tell({"event": "failed", "message": error.message, "mend": error.mend})
        await control.close()
        return
    # Before the parent knows, who may then say that all senders begin soon.
    gc.collect()
    gc.freeze()
    gc.disable()
    control.tell({"event": "connected", "client": client})
    began, stages = await control.commands.get()
    loop.begin(connections)
    loop.follow(stages, began)
    begins: deque[int] = deque()
    helpers = [
        running.create_task(_obey(control, loop, begins)),
        running.create_task(_tick(round(1e9 * setup.tick_seconds), began, control, loop, begins)),
        running.create_task(_expire(setup.timeout_seconds, connections)),
    ]
    await control.stop.wait()

    loop.end()
    await _drain(connections)
    for task in (*helpers, *loop.tasks):
        task.cancel()
    _report(control, loop, "ended")
    await control.close()


async def _open(connections: list[Connection], at_once: int) -> None:
    """Open all. Raises TrialFailed with the address of one that cannot be opened."""
    gate = asyncio.Semaphore(at_once)

    async def open_one(connection: Connection) -> None:
        async with gate:
            try:
                await connection.open()
            except OSError as error:
                host, port = connection.address
                why = str(error) or "no answer in time"
                raise TrialFailed(f"cannot connect to {host}:{port}: {why}") from error

    tasks = [asyncio.ensure_future(open_one(connection)) for connection in connections]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _obey(control: Control, loop: Loop, begins: deque[int]) -> None:
    """Follow new stages as they come; `begins` gets when each of them begins."""
    while True:
        at, stages = await control.commands.get()
        loop.follow(stages, at)
        begins.append(at)


async def _tick(
    length_ns: int, began_ns: int, control: Control, loop: Loop, begins: deque[int]
) -> None:
    """Report at even intervals since `began_ns`, however long a report takes."""
    for due in itertools.count(began_ns + length_ns, length_ns):
        await asyncio.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
        began = False
        while begins and begins[0] <= due:
            begins.popleft()
            began = True
        _report(control, loop, "tick", began=began)


def _report(control: Control, loop: Loop, event: str, *, began: bool = False) -> None:
    """Send all requests that completed so far."""
    now, cpu = time.perf_counter_ns(), time.process_time_ns()
    due, late = loop.punctuality()
    n, kept, payload = loop.recorder.take()
    header = {"event": event, "now": now, "cpu": cpu, "n": n, "kept": kept}
    control.tell(header | {"due": due, "late": late, "began": began}, payload)


async def _expire(oldest: float, connections: list[Connection]) -> None:
    """Give up requests that wait longer than `oldest` seconds, at most a twentieth later."""
    while True:
        await asyncio.sleep(min(oldest / 20, 0.25))
        now = time.perf_counter_ns()
        for connection in connections:
            if connection.expired(now):
                connection.fail(wire.TIMEOUT)


async def _drain(connections: list[Connection]) -> None:
    until = time.monotonic() + DRAIN_SECONDS
    # An event set by every connection would cost time with each request.
    while any(c.start for c in connections) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    for connection in connections:
        connection.fail(wire.RESET)


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End on an error in a callback, which is a fault of the engine."""
    error = context.get("exception")
    print(context["message"], file=sys.stderr)  # noqa: T201 -- standard error goes to the parent
    if error is not None:
        traceback.print_exception(error)
    sys.stderr.flush()
    loop.stop()
    os._exit(70)


def _die_with(parent: int) -> None:
    """Let Linux kill this process when `parent` ends. Elsewhere the closed socket ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def main() -> None:
    descriptor, parent = (int(argument) for argument in sys.argv[1:])
    _die_with(parent)
    sock = socket.socket(fileno=descriptor)
    setup = wire.Setup.decode(*wire.receive_frame(sock))
    uvloop.run(burst(setup, sock))


if __name__ == "__main__":
    main()
