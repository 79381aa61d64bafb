"""gRPC's unary calls, one at a time on each connection: each is the next stream of HTTP/2.

Source of the protocol: "gRPC over HTTP2" in gRPC's documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from tuner.load import http2
from tuner.load.connection import Connection, Exchange
from tuner.load.wire import HTTP_ERROR, OK, RESET, Setup
from tuner.serving.server.status import HTTP_STATUS, Code

_GREETING = (
    http2.PREFACE
    + http2.settings_frame(
        {
            http2.HEADER_TABLE_SIZE: 0,
            http2.ENABLE_PUSH: 0,
            http2.INITIAL_WINDOW_SIZE: http2.LARGEST_NUMBER,
        }
    )
    + http2.frame(
        http2.WINDOW_UPDATE, 0, 0, (http2.LARGEST_NUMBER - http2.DEFAULT_WINDOW).to_bytes(4, "big")
    )
)
_REPLENISH = 2**30
"""After this many bytes received, the connection's window is opened wide again."""


@dataclass(frozen=True)
class Calls:
    """What the connections of a burst share: framed messages and header blocks."""

    messages: tuple[bytes, ...]
    head: http2.RequestHead
    statuses: http2.Statuses = field(default_factory=http2.Statuses)


def grpc_exchanges(setup: Setup) -> Callable[[Connection], Exchange]:
    """Makes the exchanges of a burst, whose calls are all of one method."""
    (path,) = {call.path for call in setup.calls}
    head = http2.request_head(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", setup.host),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-tune"),
        ]
    )
    calls = Calls(tuple(framed(call.body) for call in setup.calls), head)
    return lambda connection: GrpcExchange(connection, calls)


def framed(message: bytes) -> bytes:
    """`message` as gRPC sends it: not compressed, with its length in front."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def unframed(data: bytes) -> bytes:
    """The message in `data`. Raises ValueError unless it holds exactly one, not compressed."""
    if len(data) < 5 or data[0] or int.from_bytes(data[1:5], "big") != len(data) - 5:
        raise ValueError("not one whole message without compression")
    return data[5:]


class GrpcExchange(Exchange):
    """A TCP connection that speaks HTTP/2.

    It counts as open once the server has sent its settings. The status of an answer is that of
    TensorFlow Serving's REST API for the same code.
    """

    __slots__ = (
        "_block", "_calls", "_frame_size", "_held", "_leaving", "_next", "_received", "_rest",
        "_room", "_sent_head", "_settled", "_status", "_stream", "_stream_room", "_table",
        "_transport", "_window",
    )  # fmt: skip

    def __init__(self, connection: Connection, calls: Calls) -> None:
        super().__init__(connection)
        self._calls = calls
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held = b""
        """The start of an incomplete frame."""
        self._block: bytes | None = None
        """The start of a header block that the next frame continues."""
        self._stream, self._next = 0, 1
        self._status = 0
        self._rest = memoryview(b"")
        """The part of the request for which the server has no room yet."""
        self._room = http2.DEFAULT_WINDOW
        self._window = self._stream_room = http2.DEFAULT_WINDOW
        self._frame_size = http2.DEFAULT_FRAME
        self._table = http2.DEFAULT_TABLE
        self._sent_head = False
        self._received = 0
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    async def ready(self) -> None:
        try:
            await self._settled
        except BaseException:
            self._transport.abort()
            raise
        self.connection.opened(self, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._settled.done():
            self._settled.set_exception(ConnectionError("closed by the server, is it gRPC's port?"))
        super().connection_lost(exc)

    def encode(self, request: int) -> bytes:
        self._stream = stream = self._next
        self._next = stream + 2
        self._status = 0
        self._stream_room = self._window
        self._rest = memoryview(self._calls.messages[request])
        head = self._calls.head
        if self._table < http2.DEFAULT_TABLE:
            block = head.always
        else:
            block = head.later if self._sent_head else head.first
            self._sent_head = True
        return http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block) + self._data()

    def _data(self) -> bytes:
        """The frames of the rest for which the server has room."""
        frames = []
        while size := min(len(self._rest), self._room, self._stream_room, self._frame_size):
            if size < 0:  # the server made its window smaller than what is under way
                break
            piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self._room -= size
            self._stream_room -= size
            end = 0 if self._rest else http2.END_STREAM
            frames.append(http2.frame(http2.DATA, end, self._stream, piece))
        return b"".join(frames)

    def data_received(self, data: bytes) -> None:
        try:
            frames, self._held = http2.split_frames(self._held + data)
            for frame in frames:
                if self._transport.is_closing():
                    return
                self._take(frame)
        except http2.ProtocolError:
            self.connection.fail(HTTP_ERROR)
            self._transport.abort()

    def _take(self, frame: http2.Frame) -> None:
        match frame.kind:
            case http2.DATA:
                self._take_data(frame)
            case http2.HEADERS | http2.CONTINUATION:
                self._take_headers(frame)
            case http2.RST_STREAM:
                if frame.stream == self._stream:
                    self._end(0, HTTP_ERROR)
            case _:
                self._take_control(frame)

    def _take_control(self, frame: http2.Frame) -> None:
        """Frames about the connection. Those of an unknown type are ignored, as the RFC demands."""
        acknowledges = frame.flags & http2.ACK
        match frame.kind:
            case http2.SETTINGS if not acknowledges:
                self._take_settings(frame)
            case http2.PING if not acknowledges:
                self._write(http2.frame(http2.PING, http2.ACK, 0, frame.payload))
            case http2.GOAWAY:
                self._take_goaway(frame)
            case http2.WINDOW_UPDATE:
                if not frame.stream:
                    self._room += http2.number_at(frame.payload)
                elif frame.stream == self._stream:
                    self._stream_room += http2.number_at(frame.payload)
                self._go_on()

    def _take_data(self, frame: http2.Frame) -> None:
        self._received += len(frame.payload)
        if self._received >= _REPLENISH:
            more = self._received.to_bytes(4, "big")
            self._write(http2.frame(http2.WINDOW_UPDATE, 0, 0, more))
            self._received = 0
        if frame.stream != self._stream:
            return
        kept = self.connection.body
        if kept is not None:
            kept.append(http2.frame_content(frame))
        if frame.flags & http2.END_STREAM:  # the trailers with the status are missing
            self._end(0, HTTP_ERROR)

    def _take_headers(self, frame: http2.Frame) -> None:
        if frame.kind == http2.HEADERS:
            block = http2.frame_content(frame)
        elif self._block is None:
            raise http2.ProtocolError("the continuation of a header block without a start")
        else:
            block = self._block + frame.payload
        if not frame.flags & http2.END_HEADERS:
            self._block = block
            return
        self._block = None
        http, code = self._calls.statuses.read(block)
        if frame.stream != self._stream:
            return
        self._status = http or self._status
        if code is not None:
            self._answered(code)
        elif frame.flags & http2.END_STREAM:
            self._end(self._status, HTTP_ERROR)

    def _answered(self, code: int) -> None:
        if self._status != 200:
            self._end(self._status, HTTP_ERROR)
        elif code == Code.OK:
            self._end(200, OK)
        else:
            status = HTTP_STATUS[Code(code) if code in HTTP_STATUS else Code.UNKNOWN]
            self._end(status, HTTP_ERROR)

    def _end(self, status: int, outcome: int) -> None:
        """End the call. The next one may be sent before this returns."""
        stream, self._stream = self._stream, 0
        if self._rest:  # the server answered before it had the whole request
            self._rest = memoryview(b"")
            cancel = http2.CANCEL.to_bytes(4, "big")
            self._write(http2.frame(http2.RST_STREAM, 0, stream, cancel))
        last = self._leaving or self._next > http2.LARGEST_NUMBER
        self.connection.answered(status, outcome, last=last)

    def _take_settings(self, frame: http2.Frame) -> None:
        for name, value in http2.read_settings(frame.payload):
            match name:
                case http2.HEADER_TABLE_SIZE:
                    self._table = value
                case http2.INITIAL_WINDOW_SIZE:
                    self._stream_room += value - self._window
                    self._window = value
                case http2.MAX_FRAME_SIZE:
                    self._frame_size = value
        self._write(http2.frame(http2.SETTINGS, http2.ACK, 0))
        if not self._settled.done():
            self._settled.set_result(None)
        self._go_on()

    def _take_goaway(self, frame: http2.Frame) -> None:
        self._leaving = True
        if not self._stream:
            self.connection.leave()
        elif self._stream > http2.number_at(frame.payload):
            self.connection.fail(RESET)

    def _go_on(self) -> None:
        if self._rest and (data := self._data()):
            self._write(data)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
