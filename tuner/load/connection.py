"""One connection of a load: at most one request in flight, opened again when it is lost.

What is said on it is its protocol's (`rest`, `grpc`), when it sends is its loop's (`loops`).
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import cast

from tuner.load.arrivals import Ramp
from tuner.load.recorder import Recorder
from tuner.load.wire import OK, RESET, TIMEOUT

CHECK_EVERY = 100
"""The body of each connection's first response and of every so many later ones is kept."""

RETRY_SECONDS = 0.05
"""Pause before a connection that was refused is tried again."""


class Exchange(asyncio.Protocol, ABC):
    """One TCP connection of a `Connection`, in the terms of one protocol.

    It writes requests as bytes, and reads answers: `answered` or `fail` of its connection, once
    for each request, and the pieces of the answer's body into `body` where that is a list.
    """

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @abstractmethod
    def encode(self, request: int) -> bytes:
        """What to send for the input of that number."""

    async def ready(self) -> None:
        """Wait, after `connection_made`, until requests may be written. Raises OSError."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop sets TCP_NODELAY on every TCP connection.
        self.connection.opened(self, cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.connection.lost()


class Loop(ABC):
    """What the connections of one burst share, and who sends when."""

    def __init__(self, inputs: Iterator[int], timeout: float, recorder: Recorder) -> None:
        self.inputs = inputs
        """Which input to send next, for ever."""
        self.timeout = timeout
        """Seconds in which a connection must be open, and a request that was sent be answered."""
        self.recorder = recorder
        self.connections: Sequence[Connection] = ()
        self.sending = False
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, connections: Sequence[Connection]) -> None:
        """From now on the connections stay open; nothing is sent before `follow`."""
        self.connections = connections
        self.sending = True
        for connection in connections:
            if connection.transport is None:
                connection.reopen()
            else:
                self.ready(connection)

    @abstractmethod
    def follow(self, stages: Sequence[Ramp], now: int) -> None:
        """Go through the stages from `now` (ns) on, then stay at the last level."""

    @abstractmethod
    def ready(self, connection: Connection, since: int = 0) -> None:
        """The connection is open and idle; opened again, if it was lost at `since` (ns)."""

    @abstractmethod
    def lost(self, connection: Connection) -> None:
        """The connection is not ready any more."""

    @abstractmethod
    def refused(self, connection: Connection, since: int, outcome: int) -> bool:
        """The connection, lost at `since`, could not be opened again.

        The request that needed it is noted as failed; whether there was one.
        """

    def end(self) -> None:
        """Send no more; requests in flight stay so."""
        self.sending = False

    def punctuality(self) -> tuple[int, int]:
        """Requests that were due so far, and those of them that were sent late or wait still."""
        return 0, 0


class Connection:
    """A slot of the concurrency, and the TCP connection that it has just now."""

    __slots__ = (
        "address", "body", "delay", "descriptor", "encode", "exchange", "loop", "number",
        "opening", "request", "sent", "start", "transport",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        exchange: Callable[[Connection], Exchange],
        number: int,
        address: tuple[str, int],
    ) -> None:
        self.loop = loop
        self.exchange = exchange
        self.number = number
        self.address = address
        self.transport: asyncio.Transport | None = None
        """None unless it can be written to."""
        self.opening = False
        """Whether it is being opened again."""
        self.start = 0
        """When the request in flight should have been sent (ns); 0 with none in flight."""
        self.delay = 0
        """How much later it was (ns)."""
        self.request = 0
        self.sent = 0
        self.body: list[bytes] | None = None
        """Where to put the answer's body, if it is kept."""

    async def open(self) -> None:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.loop.timeout):
            _, exchange = await loop.create_connection(lambda: self.exchange(self), *self.address)
            await exchange.ready()

    def send(self, due: int = 0) -> None:
        """Send the next request, due at `due` (ns), now if that is 0."""
        loop = self.loop
        self.request = request = next(loop.inputs)
        kept = self.sent % CHECK_EVERY == 0 and loop.recorder.keep_bytes > 0
        self.body = [] if kept else None
        self.sent += 1
        now = perf_counter_ns()
        self.start = start = due or now
        self.delay = now - start
        self._write(self.encode(request))

    def _write(self, data: bytes) -> None:
        """Write now, not when the event loop comes round: with one connection that is 10 us."""
        transport = self.transport
        assert transport is not None
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.write(self.descriptor, data)
            except OSError:  # full or broken: the transport waits for the one and reports the other
                sent = 0
        if sent < len(data):
            transport.write(data[sent:])

    def answered(self, status: int, outcome: int, *, last: bool) -> None:
        """The answer is there, whole; `last` if the server takes no other request."""
        now = perf_counter_ns()
        start = self.start
        if not start:  # nothing was asked: the answer came after its request was given up
            return
        self.start = 0
        loop = self.loop
        recorder = loop.recorder
        duration = now - start
        recorder.add(start, self.delay, duration, status, outcome, self.number, self.request)
        if self.body is not None and outcome == OK:
            recorder.keep(b"".join(self.body))
        if last:
            self._leave()
        elif loop.sending:
            loop.ready(self)

    def fail(self, outcome: int) -> None:
        """Give the request in flight up, if there is one, and with it the TCP connection."""
        if self.start:
            self._note(outcome)
            if self.transport is not None:
                self.transport.abort()
                self.transport = None

    def note_unsent(self, due: int, outcome: int) -> None:
        """A request that was due at `due` failed for want of this connection."""
        waited = perf_counter_ns() - due
        request = next(self.loop.inputs)
        self.loop.recorder.add(due, waited, waited, 0, outcome, self.number, request)

    def leave(self) -> None:
        """Open another TCP connection, with no request in flight: the server wants to end this."""
        if self.transport is not None:
            self.loop.lost(self)
            self._leave()

    def expired(self, now: int) -> bool:
        """Whether the request in flight waits for its answer for longer than the timeout."""
        return self.start > 0 and now - self.start - self.delay > self.loop.timeout * 1e9

    def opened(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        """There is a TCP connection."""
        self.encode = exchange.encode
        self.descriptor: int = transport.get_extra_info("socket").fileno()
        self.transport = transport

    def lost(self) -> None:
        """There is none any more."""
        self.transport = None
        if self.start:
            self._note(RESET)
        if self.loop.sending:
            self.loop.lost(self)
            self.reopen()

    def reopen(self) -> None:
        """Begin to connect, until it succeeds or the burst ends."""
        if self.opening:  # what was lost had not been there yet
            return
        self.opening = True
        task = asyncio.get_running_loop().create_task(self._connect(perf_counter_ns()))
        self.loop.tasks.add(task)
        task.add_done_callback(self.loop.tasks.discard)

    async def _connect(self, since: int) -> None:
        while self.loop.sending and self.transport is None:
            try:
                await self.open()
            except OSError as error:
                outcome = TIMEOUT if isinstance(error, TimeoutError) else RESET
                if self.loop.refused(self, since, outcome):
                    since = perf_counter_ns()
            if self.transport is None:
                await asyncio.sleep(RETRY_SECONDS)
        self.opening = False
        if self.loop.sending:
            self.loop.ready(self, since)

    def _leave(self) -> None:
        assert self.transport is not None
        self.transport.close()
        self.transport = None

    def _note(self, outcome: int) -> None:
        start, self.start = self.start, 0
        duration = perf_counter_ns() - start
        recorder = self.loop.recorder
        recorder.add(start, self.delay, duration, 0, outcome, self.number, self.request)
