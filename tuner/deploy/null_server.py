"""A server that does nothing but answer, REST or gRPC: what the load engine is calibrated against.

It runs inside a container, as `python3 -c <this text> <port> [<processes>]`. So it imports the
standard library only, and repeats what it needs of `tuner.load.http2`. Where the image has uvloop
it is five times as fast. Its processes share the port, so that the load engine comes to its limit
before they do. It answers every request alike. Of HTTP/1.1 it reads a request's head and as many
bytes of body as `Content-Length` says, of HTTP/2 (RFC 9113) only the ends of streams. A connection
speaks HTTP/2 when it begins with that protocol's preface.
"""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from typing import cast

BODY = b'{"predictions":[0.0]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
BACKLOG = 4096

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
WIDEST = 2**31 - 1
REPLENISH = 2**30


def null_frame(kind: int, flags: int, stream: bytes, payload: bytes) -> bytes:
    """`stream` is the number's four bytes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing (RFC 7541, section 6.2.2), of less than 127 bytes each."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


NO_STREAM = bytes(4)
# Room for any request: SETTINGS_INITIAL_WINDOW_SIZE (4), and the same for the connection.
GREETING = null_frame(SETTINGS, 0, NO_STREAM, b"\0\4" + WIDEST.to_bytes(4, "big")) + null_frame(
    WINDOW_UPDATE, 0, NO_STREAM, (WIDEST - 65535).to_bytes(4, "big")
)
STATUS_200 = b"\x88"
HEAD = STATUS_200 + literal(b"content-type", b"application/grpc")
MESSAGE = bytes(5)  # not compressed, of length 0: a PredictResponse without outputs
TRAILERS = literal(b"grpc-status", b"0")


def grpc_answer(stream: bytes) -> bytes:
    return (
        null_frame(HEADERS, END_HEADERS, stream, HEAD)
        + null_frame(DATA, 0, stream, MESSAGE)
        + null_frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)
    )


class NullConnection(asyncio.Protocol):
    """One connection that stays; `held` are the bytes of what is not whole yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.held = bytearray()
        self.needed = 0
        self.received = 0
        self.begun = self.http2 = False

    def data_received(self, data: bytes) -> None:
        self.held += data
        if not self.begun:
            start = bytes(self.held[: len(PREFACE)])
            self.http2 = PREFACE.startswith(start)
            if self.http2 and start != PREFACE:
                return
            self.begun = True
            if self.http2:
                del self.held[: len(PREFACE)]
                self.transport.write(GREETING)
        if self.http2:
            self.take_frames()
        else:
            self.take_requests()

    def take_requests(self) -> None:
        while len(self.held) >= self.needed:
            if not self.needed:
                end = self.held.find(b"\r\n\r\n")
                if end < 0:
                    return
                self.needed = end + 4 + body_length(bytes(self.held[:end]))
                continue
            del self.held[: self.needed]
            self.needed = 0
            self.transport.write(ANSWER)

    def take_frames(self) -> None:
        while len(self.held) >= 9:
            end = 9 + int.from_bytes(self.held[:3], "big")
            if len(self.held) < end:
                return
            kind, flags, stream = self.held[3], self.held[4], bytes(self.held[5:9])
            del self.held[:end]
            if kind == SETTINGS and not flags & ACK:
                self.transport.write(null_frame(SETTINGS, ACK, NO_STREAM, b""))
            if kind == DATA:
                self.received += end - 9
                if self.received >= REPLENISH:
                    more = self.received.to_bytes(4, "big")
                    self.transport.write(null_frame(WINDOW_UPDATE, 0, NO_STREAM, more))
                    self.received = 0
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                self.transport.write(grpc_answer(stream))


def body_length(head: bytes) -> int:
    """Bytes of the body that follows; 0 where the head does not say."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def serve_null(port: int) -> None:
    loop = asyncio.get_running_loop()
    # All interfaces: those of a container that is on one network.
    server = await loop.create_server(
        NullConnection,
        "0.0.0.0",  # noqa: S104
        port,
        backlog=BACKLOG,
        reuse_port=True,
    )
    await server.serve_forever()


def be_several(processes: int) -> None:
    """Go on as so many processes. They end with the container, of which the first is the init."""
    for _ in range(processes - 1):
        if not os.fork():
            return


if __name__ == "__main__":
    be_several(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    if find_spec("uvloop"):
        import uvloop

        uvloop.run(serve_null(int(sys.argv[1])))
    else:
        asyncio.run(serve_null(int(sys.argv[1])))
