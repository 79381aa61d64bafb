"""One connection of a load: at most one request in flight, opened again when it is lost.

The protocol (`rest`, `grpc`) decides what it sends, the loop (`loops`) when.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import cast

from tuner.load.arrivals import Ramp
from tuner.load.recorder import Recorder
from tuner.load.wire import OK, RESET, TIMEOUT

CHECK_EVERY = 100
"""One response body in this many is kept for checking, the first of a connection included."""

RETRY_SECONDS = 0.05
"""The pause before a refused connection is tried again."""


class Exchange(asyncio.Protocol, ABC):
    """One TCP connection of a `Connection`, which speaks one protocol.

    It encodes requests and reads answers. For each request it calls `answered` or `fail` of its
    connection once, and appends the pieces of the answer's body to `body` where that is a list.
    """

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @abstractmethod
    def encode(self, request: int) -> bytes:
        """The bytes to send for the input of that number."""

    async def ready(self) -> None:
        """Wait, after `connection_made`, until requests may be written. Raises OSError."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop sets TCP_NODELAY on every TCP connection.
        self.connection.opened(self, cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.connection.lost()


class Loop(ABC):
    """What the connections of one burst share, and the rule by which they send."""

    def __init__(self, inputs: Iterator[int], timeout: float, recorder: Recorder) -> None:
        self.inputs = inputs
        """The numbers of the inputs to send, without an end."""
        self.timeout = timeout
        """Seconds within which a connection must be open, and a request be answered."""
        self.recorder = recorder
        self.connections: Sequence[Connection] = ()
        self.sending = False
        self.tls: tuple[ssl.SSLContext, str] | None = None
        """What secures the connections, and the name in the server's certificate."""
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, connections: Sequence[Connection]) -> None:
        """Keep the connections open from now on. Nothing is sent before `follow`."""
        self.connections = connections
        self.sending = True
        for connection in connections:
            if connection.transport is None:
                connection.reopen()
            else:
                self.ready(connection)

    @abstractmethod
    def follow(self, stages: Sequence[Ramp], at: int) -> None:
        """Go through the stages from `at` (ns) on, then keep the last level.

        Until then those before go on.
        """

    @abstractmethod
    def ready(self, connection: Connection, since: int = 0) -> None:
        """Called when the connection is open and idle; `since` (ns) is when it was lost, if it
        was.
        """

    @abstractmethod
    def lost(self, connection: Connection) -> None:
        """Called when the connection is lost."""

    @abstractmethod
    def refused(self, connection: Connection, since: int, outcome: int) -> bool:
        """Called when the connection, lost at `since` (ns), could not be opened again.

        Notes the request that needed it as failed. Returns whether there was one.
        """

    def end(self) -> None:
        """Send no more. Requests in flight stay in flight."""
        self.sending = False

    def punctuality(self) -> tuple[int, int]:
        """The requests that were due so far, and how many of them were sent late or still wait."""
        return 0, 0


class Connection:
    """One of the concurrent connections, and the TCP connection that it has at the moment."""

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
        """None where it cannot be written to."""
        self.opening = False
        """Whether it is being opened again."""
        self.start = 0
        """When the request in flight should have been sent (ns); 0 if none is in flight."""
        self.delay = 0
        """How much later it was (ns)."""
        self.request = 0
        self.sent = 0
        self.body: list[bytes] | None = None
        """Collects the answer's body, if it is kept."""

    async def open(self) -> None:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.loop.timeout):
            context, name = self.loop.tls or (None, None)
            _, exchange = await loop.create_connection(
                lambda: self.exchange(self), *self.address, ssl=context, server_hostname=name
            )
            await exchange.ready()

    def send(self, due: int = 0) -> None:
        """Send the next request, which was due at `due` (ns), or now if that is 0."""
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
        """Write at once instead of through the event loop, which takes 10 us with one
        connection.
        """
        transport = self.transport
        assert transport is not None
        sent = 0
        # What TLS sends is not what is written.
        if self.loop.tls is None and not transport.get_write_buffer_size():
            try:
                sent = os.write(self.descriptor, data)
            except OSError:  # a full or broken socket: the transport waits, or reports it
                sent = 0
        if sent < len(data):
            transport.write(data[sent:])

    def answered(self, status: int, outcome: int, *, last: bool) -> None:
        """Called when the answer is complete. `last` says that the server takes no more
        requests.
        """
        now = perf_counter_ns()
        start = self.start
        if not start:  # the answer came after its request was given up
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
        """Give up the request in flight, if there is one, and with it the TCP connection."""
        if self.start:
            self._note(outcome)
            if self.transport is not None:
                self.transport.abort()
                self.transport = None

    def note_unsent(self, due: int, outcome: int) -> None:
        """Note that a request due at `due` failed because this connection was missing."""
        waited = perf_counter_ns() - due
        request = next(self.loop.inputs)
        self.loop.recorder.add(due, waited, waited, 0, outcome, self.number, request)

    def leave(self) -> None:
        """Close the idle TCP connection, which the server wants to end, and open another."""
        if self.transport is not None:
            self.loop.lost(self)
            self._leave()

    def expired(self, now: int) -> bool:
        """Whether the request in flight has waited for longer than the timeout."""
        return self.start > 0 and now - self.start - self.delay > self.loop.timeout * 1e9

    def opened(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        """Called when the TCP connection is open."""
        self.encode = exchange.encode
        self.descriptor: int = transport.get_extra_info("socket").fileno()
        self.transport = transport

    def lost(self) -> None:
        """Called when the TCP connection is gone."""
        self.transport = None
        if self.start:
            self._note(RESET)
        if self.loop.sending:
            self.loop.lost(self)
            self.reopen()

    def reopen(self) -> None:
        """Start to connect, again and again until it succeeds or the burst ends."""
        if self.opening:  # the connection that was lost was not open yet
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
