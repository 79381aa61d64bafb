"""One connection of a closed loop: it always has one request in flight."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from time import perf_counter_ns
from typing import cast

import httptools

from tuner.load.recorder import Recorder
from tuner.load.wire import HTTP_ERROR, OK, RESET, TIMEOUT

CHECK_EVERY = 100
"""The body of each connection's first response and of every so many later ones is kept."""

RETRY_SECONDS = 0.05
"""Pause before a connection that was refused is tried again."""


class Loop:
    """What all connections of one burst share."""

    def __init__(
        self, wire: list[bytes], inputs: Iterator[int], timeout: float, recorder: Recorder
    ) -> None:
        self.wire = wire
        """Whole HTTP requests, one per input."""
        self.inputs = inputs
        """Which input to send next, for ever."""
        self.timeout = timeout
        self.recorder = recorder
        self.sending = False
        self.tasks: set[asyncio.Task[None]] = set()


class Connection(asyncio.Protocol):
    """A slot of the concurrency, and the TCP connection that it has just now."""

    __slots__ = (
        "address", "body", "descriptor", "loop", "number", "parser", "request", "sent", "start",
        "transport",
    )  # fmt: skip

    def __init__(self, loop: Loop, number: int, address: tuple[str, int]) -> None:
        self.loop = loop
        self.number = number
        self.address = address
        self.transport: asyncio.Transport | None = None
        self.start = 0
        """When the request in flight should have been sent (ns); 0 with none in flight."""
        self.request = 0
        self.sent = 0
        self.body: list[bytes] | None = None

    async def open(self) -> None:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.loop.timeout):
            await loop.create_connection(lambda: self, *self.address)

    def send(self, due: int = 0) -> None:
        """Send the next request, due at `due` (ns), now if that is 0."""
        loop = self.loop
        self.request = request = next(loop.inputs)
        kept = self.sent % CHECK_EVERY == 0 and loop.recorder.keep_bytes > 0
        self.body = [] if kept else None
        self.sent += 1
        self.start = due or perf_counter_ns()
        self._write(loop.wire[request])

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

    def begin(self) -> None:
        """Start the closed loop on this connection."""
        if self.transport is None:
            self._reopen(perf_counter_ns())
        else:
            self.send()

    def fail(self, outcome: int) -> None:
        """Give the request in flight up, and with it the TCP connection."""
        self._note(perf_counter_ns(), 0, outcome)
        if self.transport is not None:
            self.transport.abort()

    def _note(self, now: int, status: int, outcome: int) -> None:
        start, self.start = self.start, 0
        self.loop.recorder.add(start, now - start, status, outcome, self.number, self.request)

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop sets TCP_NODELAY on every TCP connection.
        self.transport = cast(asyncio.Transport, transport)
        self.descriptor: int = transport.get_extra_info("socket").fileno()
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            if self.start:
                self.fail(HTTP_ERROR)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.transport = None
        if self.start:
            self._note(perf_counter_ns(), 0, RESET)
        if self.loop.sending:
            self._reopen(perf_counter_ns())

    # httptools' callbacks

    def on_body(self, body: bytes) -> None:
        if self.body is not None:
            self.body.append(body)

    def on_message_complete(self) -> None:
        now = perf_counter_ns()
        start = self.start
        if not start:  # nothing was asked: the answer came after its request was given up
            return
        self.start = 0
        loop = self.loop
        status = self.parser.get_status_code()
        outcome = OK if status == 200 else HTTP_ERROR
        loop.recorder.add(start, now - start, status, outcome, self.number, self.request)
        if self.body is not None and outcome == OK:
            loop.recorder.keep(b"".join(self.body))
        if not self.parser.should_keep_alive():
            assert self.transport is not None
            self.transport.close()
        elif loop.sending:
            self.send()

    def _reopen(self, due: int) -> None:
        task = asyncio.get_running_loop().create_task(self._connect_and_send(due))
        self.loop.tasks.add(task)
        task.add_done_callback(self.loop.tasks.discard)

    async def _connect_and_send(self, due: int) -> None:
        """Connect until it succeeds, then send what was due at `due`.

        Each attempt that fails is a request that failed: its connection could not be had.
        """
        while self.loop.sending:
            try:
                await self.open()
            except OSError as error:
                outcome = TIMEOUT if isinstance(error, TimeoutError) else RESET
                self.request, self.start = next(self.loop.inputs), due
                due = perf_counter_ns()
                self._note(due, 0, outcome)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if self.transport is not None and self.loop.sending:
                    self.send(due)
                return
